// No line of the page's scripts is longer than a screen: the formatter leaves sentences alone.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const MOST = 120;

test("no line is too long", () => {
  const paths = ["explainers/ui", "tests/javascript"]
    .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => `${folder}/${name}`))
    .filter((path) => /\.(js|ts)$/.test(path));
  assert.ok(paths.length > 40);
  for (const path of paths)
    for (const [number, line] of readFileSync(path, "utf-8").split("\n").entries())
      assert.ok(line.length <= MOST, `${path}:${number + 1} has ${line.length} letters`);
});
