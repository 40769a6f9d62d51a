import assert from "node:assert";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Parser } from "../ssehub.js";
import { conform } from "./conform.mjs";

test("parser", () => {
  const cases = JSON.parse(readFileSync(process.env.CASES, "utf8"));
  assert.ok(cases.length > 1000);
  assert.deepStrictEqual(conform(Parser, cases), []);
});
