// Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities.
import { readFileSync, writeFileSync } from "node:fs";

import * as scorer from "./scorer.ts";

const bytes = readFileSync("rows.bin");
const rows = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const found: number[] = [];
try {
  for (let first = 0; first < rows.length; first += scorer.INPUTS) {
    const input: scorer.Input = scorer.inputOfRow(rows.subarray(first, first + scorer.INPUTS));
    found.push(...scorer.score(input), ...scorer.predict(input));
    // PROBABILITIES
  }
  writeFileSync("found.bin", new Float64Array(found));
} catch (error) {
  if (!(error instanceof scorer.RefusedError)) throw error;
  console.error(error.message);
  process.exitCode = 3;
}
