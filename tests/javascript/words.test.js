// Numbers as people read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as words from "../../explainers/ui/static/words.js";

const table = (say, rows) => {
  for (const [value, wanted] of rows) assert.equal(say(value), wanted, `${value}`);
};

test("figures have two significant digits", () =>
  table(words.figure, [
    [0, "0"],
    [null, "0"],
    [Number.NaN, "0"],
    [1, "1.0"],
    [0.0123, "0.012"],
    [12.34, "12"],
    [1234, "1234"],
    [-0.5, "−0.50"],
    [123456, "1.2 × 10⁵"],
    [-0.00012, "−1.2 × 10⁻⁴"],
    [2.5e-12, "2.5 × 10⁻¹²"],
  ]));

test("a share is never 0 or 100 % for what is not exactly that", () =>
  table(words.percent, [
    [0, "0 %"],
    [0.001, "<1 %"],
    [0.014, "1 %"],
    [0.5, "50 %"],
    [0.999, ">99 %"],
    [1, "100 %"],
    [-0.25, "−25 %"],
  ]));

test("a class goes with a probability, or with what a regression says", () => {
  assert.equal(words.confidence({ share: 0.71, told: "unused" }), "71 %");
  assert.equal(words.confidence({ share: null, told: "3.2 kg" }), "3.2 kg");
});

test("signs, counts and seconds", () => {
  assert.equal(words.signed(2), "+2.0");
  assert.equal(words.signed(-2), "−2.0");
  assert.equal(words.plural(1, "variant"), "1 variant");
  assert.equal(words.plural(0, "variant"), "0 variants");
  assert.equal(words.seconds(0.4), "less than a second");
  assert.equal(words.seconds(7.6), "8 s");
});

test("what a method takes: passes always, how long only where one was measured", () => {
  assert.equal(words.effort({ passes: [1, 0], takes: 1 }, null), "1 pass");
  assert.equal(words.effort({ passes: [1, 1], takes: 3 }, 0.1), "2 passes, fast");
  assert.equal(words.effort({ passes: [100, 0], takes: 100 }, 0.1), "100 passes, some seconds");
  assert.equal(words.effort({ passes: [0, 0], takes: 0 }, null), "no passes");
  assert.equal(words.effort({ passes: [900, 0], takes: 900 }, 0.1), "900 passes, long");
});

test("what remains is told once it is worth waiting for", () => {
  assert.equal(words.remaining(0.5, 0.1), ""); // too early to tell
  assert.equal(words.remaining(2, 0.9), ""); // less than a second
  assert.equal(words.remaining(2, 0.5), ", about 2 s more");
  assert.equal(words.remaining(10, 0.25), ", about 30 s more");
  assert.equal(words.remaining(60, 0.25), ", about 3 min more");
});

test("two classes that lie close raise a question, in either direction", () => {
  const cats = [
    { label: "tiger cat", share: 0.37 },
    { label: "Egyptian cat", share: 0.36 },
    { label: "tabby", share: 0.18 },
  ];
  assert.equal(words.rival(cats, "tiger cat"), "Egyptian cat");
  assert.equal(words.rival(cats, "Egyptian cat"), "tiger cat");
  assert.equal(words.rival(cats, "tabby"), null);
  assert.equal(
    words.rival(
      [
        { label: "espresso", share: 0.95 },
        { label: "cup", share: 0.01 },
      ],
      "espresso",
    ),
    null,
  );
  assert.equal(words.rival([{ label: "years", share: null }], "years"), null);
  assert.equal(words.rival([], undefined), null);
});
