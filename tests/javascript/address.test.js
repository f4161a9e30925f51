// A link opens exactly the question it was made from.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mainly, read, written } from "../../explainers/ui/static/address.js";

const controls = [
  { name: "depth", kind: "choice", default: "last" },
  { name: "steps", kind: "integer", default: 32 },
  { name: "signed", kind: "switch", default: true },
  { name: "says", kind: "text", default: "" },
];
const usual = { score: "centered_logit", controls };
const question = {
  scene: "pond:7",
  picture: "a key that no other session knows",
  upload: "",
  model: "hf:owner/name",
  method: "some_method",
  target: "tabby & cat, 100 %",
  versus: "Egyptian cat",
  score: "probability",
  options: { depth: "early", steps: 8, signed: false, says: "007" },
  beside: { model: "pond:cnn" },
};
const method = (id) => (id === "some_method" ? { options: controls } : undefined);

test("what is written is read again", () => {
  const query = written({ question, tab: "why", place: {} }, usual);
  const { picture, upload, ...asked } = question;
  assert.deepEqual(read(query, method), asked);
});

test("colons and slashes stand in a link as they are", () => {
  assert.match(written({ question, tab: "why", place: {} }, usual), /scene=pond:7&model=hf:owner\/name&/);
});

test("what is usual is not said", () => {
  const plain = { ...question, target: null, versus: "", score: "centered_logit", options: { steps: 32 }, beside: {} };
  const query = written({ question: plain, tab: "why", place: { depth: "", layer: null } }, usual);
  assert.equal(query, "scene=pond:7&model=hf:owner/name&method=some_method");
});

test("a tab has its own place, and what belongs to the page stays", () => {
  const query = written({ question, tab: "map", place: { kind: "pca" } }, usual, "view=1&__theme=dark&scene=old");
  const params = new URLSearchParams(query);
  const found = ["tab", "t.kind", "view", "__theme", "scene"].map((name) => params.get(name));
  assert.deepEqual(found, ["map", "pca", "1", "dark", "pond:7"]);
});

test("options of a method that nobody knows are left alone", () => {
  assert.deepEqual(read("method=other&o.steps=8", method), { method: "other", options: {}, beside: {} });
});

test("settings do not make another question, all else does", () => {
  assert.equal(mainly({ ...question, options: { depth: "late" } }), mainly(question));
  for (const change of [{ method: "other" }, { versus: null }, { upload: "u" }, { beside: {} }, { score: "logit" }])
    assert.notEqual(mainly({ ...question, ...change }), mainly(question));
});
