// What Python tells of a gallery, and what this tab keeps of it.
import type { Box, Packed, Size } from "../../static/types.js";

/** Words, and for each picture the number of its word. */
export type Named = { of: Int16Array; names: string[] };

/** What a point is colored by: a number for each picture, and what those numbers mean. */
export interface Scale {
  of: ArrayLike<number>;
  names: string[] | null;
  hue: (value: number) => string;
  /** The value that is drawn larger than the others. */
  front?: number;
}

export type Neighbor = { number: number; distance: number };

export interface Gallery {
  gallery: string;
  count: number;
  /** What the map is of: the network, a place in it, and how it is laid out. */
  model: string;
  place: string;
  kind: string;
  places: { id: string; words: string }[];
  names: string[];
  /** The same as Python told them, by which it is known again. */
  told: string;
  notes: string[];
  /** Whether its pictures can be asked for as scenes of a world. */
  scenes: boolean;
  label: Named | null;
  call: Named | null;
  /** How sure the network is of what it calls each, from 0 to 255. */
  sure: Uint8Array | null;
  /** 1 where it is called otherwise than by its label. */
  wrong: Int16Array | null;
  facets: Record<string, Named>;
  /** How many of its neighbors each point keeps, from 0 to 255. */
  kept: Uint8Array | null;
  /** The points that are shown, as Python packed them; empty before the first. */
  points: string;
  /** Where the visitor's picture lies. */
  here: [number, number] | null;
  neighbors: Neighbor[];
  votes: [string, number][];
  near: string;
  figures: Record<string, number | null>;
  confused: { number: number; sure: number }[];
  caveats: string[];
}

export type Group = { words: string; size: number; middle: number[]; labels: [string, number][] };
export type Groups = { of: Int16Array; groups: Group[] };
export type Frame = { place: string; words: string; points: string; right: number | null };
/** A picture with what makes it like another one. */
export type Heated = Size & { src: string; box: Box; heat: Packed };
export type Alike = { cosine: number; exact: boolean; here: Heated; there: Heated; number: number };
/** One layout among several of the same pictures. */
export type Layout = { words: string; points: string; right: number };
