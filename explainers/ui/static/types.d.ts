// What the page's scripts pass to each other, and what Python sends them.

/** Left, top, right, bottom. */
export type Box = [number, number, number, number];
export type Size = { width: number; height: number };
/** A place of the picture, from 0 to 1. */
export type Place = { x: number; y: number };
export type Grid = Size & { values: Float32Array };
/** A grid of numbers, and what a palette needs to know of them. */
export type Heat = Grid & { total: number; top: number; most: number };
/** A grid as Python packs it: base64 of float16, to be multiplied by the scale. */
export type Packed = Size & { scale: number; data: string };

export interface Question {
  scene: string;
  picture: string;
  upload: string;
  model: string;
  method: string;
  target: string | null;
  versus: string | null;
  score: string;
  options: Record<string, string | number | boolean>;
  /** What a second answer differs in. */
  beside: Record<string, string>;
}

/** Why something was not answered. */
export interface Refusal {
  state: string;
  sentence: string;
  kind?: string;
  method?: string;
  others?: { id: string; title: string }[];
}

/** A picture that an array of a result is: of bytes already encoded, of floats, or of other floats with any shape. */
export type PackedArray = (Size & { src: string }) | Packed | { shape: number[]; data: string };

/** A result of any kind: its own JSON, and its arrays by name. */
export interface Result {
  kind: string;
  arrays: Record<string, PackedArray>;
  [fact: string]: any;
}

/** One number for each of several things that have names. */
export type Bars = Result & { labels: string[]; values: number[]; error: number[] | null; unit: string };
/** Lines over a swept quantity, and pictures that stand at some of its places. */
export type Curves = Result & {
  along: number[];
  along_unit: string;
  unit: string;
  lines: { label: string; values: number[]; low: number[] | null; high: number[] | null }[];
  marks: { at: number; caption: string }[];
};
export type Neighbors = Result & {
  neighbors: { id: string; label: string; distance: number }[];
  unit: string;
  votes: Record<string, number>;
};
export type Tiles = Result & {
  tiles: { caption: string; value: number | null; signed: boolean }[];
  unit: string;
  count: number;
  columns: number | null;
  over_picture: boolean;
};

/** One answer, as the stage and the reading column show it. */
export interface Pane {
  model: string;
  method: string;
  title: string;
  target: string;
  share: number | null;
  told: string;
  versus: string;
  question: [string, string, string];
  how: string;
  read_it_as: string;
  beware: string;
  paper: string;
  options: Question["options"];
  controls: Control[];
  notes: string[];
  cost: string;
  done: number;
  unsure: string;
  steps: number;
  cells: string;
  unit: string;
  signed: boolean;
  blank: boolean;
  alt: string;
  code: string;
  /** How much of the heat lies on what decides, in words, where that is known. */
  decides?: string;
  box?: Box;
  truth: (Size & { data: string }) | null;
  result?: Result;
  /** The value of the strongest color, where it is not the heat's own. */
  top?: number;
  refusal?: any;
}

/** A map among others. */
export type SmallMap = Pick<Pane, "method" | "title" | "alt" | "blank" | "signed" | "unit"> & {
  /** How good the map is, once that has been measured. */
  figure: { rank: number; big: string; words: string } | null;
  heat: Packed;
  box: Box;
};

/** The same question to several methods, as far as they have answered. */
export interface Gathered {
  token: string;
  state: string;
  maps: SmallMap[];
  waiting: Named[];
  on_request?: Named[];
  failed?: (Named & { why: string })[];
  cost?: string;
  /** By what the maps stand in order, in a sentence; empty until that has been measured. */
  order?: string;
  /** How long measuring them would take, where nobody asked for it yet. */
  measuring?: string;
}
export type Named = { method: string; title: string };

/** How far a map can be trusted; see `Scorecard.payload` in Python. */
export type Card = Record<string, any>;

/** An option of a method, or a setting of a step. */
export interface Control {
  name: string;
  words: string;
  kind: "switch" | "choice" | "integer" | "number" | "text" | string;
  default: any;
  description: string;
  choices: string[];
  minimum: number | null;
  maximum: number | null;
  longest?: number | null;
}

export interface Prediction {
  label: string;
  index: number;
  share: number | null;
  told: string;
}

export interface Fit {
  id: string;
  title: string;
  why_not: string;
}

/** All that came back for a question, as far as it has come. */
export interface Answer {
  token: string;
  state: string;
  panes: Pane[];
  predictions: Prediction[];
  fits: Fit[];
  network: {
    random: boolean;
    notes: string[];
    classes: number;
    scores: string[];
    no_rival: boolean;
    [fact: string]: any;
  };
  refusal?: any;
  [fact: string]: any;
}

export interface Method {
  id: string;
  title: string;
  family: string;
  question: string;
  class_specific: boolean;
  classic: boolean;
  passes: [number, number];
  takes: number;
  options: Control[];
  /** The kind of its result. */
  kind: string;
}

export interface Picture extends Size {
  key: string;
  src: string;
  scene: string;
  about: string;
}

/** What is on offer, told once when the page is built. */
export interface Catalogue {
  networks: { id: string; line: string; size: string; attends: boolean; [fact: string]: any }[];
  methods: Method[];
  presets: { id: string; words: string; line: string }[];
  most: number;
  scores: { id: string; words: string }[];
  score: string;
  palettes: Record<string, string>;
  sequential: string[];
  diverging: string;
  fade: number;
  shown: number;
  scenes: { scene: string; about: string; src: string; world: string }[];
  welcome: string;
  home: string;
  for_photographs: string;
  tabs: { id: string; title: string; line: string }[];
  [fact: string]: any;
}

export interface Status {
  state: string;
  since?: number;
  seconds?: number;
  network?: string;
  sentence?: string;
  kind?: string;
  done?: number;
}

/** What the visitor has chosen about how heat is looked at. */
export interface View {
  opacity: number;
  colors: string | null;
  sign: string;
  outline: boolean;
  cells: boolean;
  truth: boolean;
  wipe: boolean;
  common: boolean;
  plain: boolean;
}

/** An element of the page, as gradio hands it to its script. */
export interface Part {
  name: string;
  /** Its own template says what is in it. */
  element: any;
  props: Record<string, any>;
  trigger: (event: string, data: any) => void;
  watch: (prop: string, listener: () => void) => void;
  upload: (file: File) => Promise<{ path: string }>;
}

/** Draws a result of one kind into an empty element. */
export interface Renderer {
  draw(element: HTMLElement, result: Result, context: DrawingContext): void;
}

/** What a renderer may want to know beside the result. */
export interface DrawingContext {
  /** The picture that was asked about. */
  picture: (Size & { src: string }) | null;
  /** What the network saw of it, in its pixels. */
  box: Box | null;
  /** The sentence that stands for the drawing where it cannot be seen. */
  alt: string;
  /** A canvas with the palette's colors of a grid: cell by cell, or `over` the picture where it belongs there. */
  painted(grid: PackedArray, how: { signed: boolean; over?: boolean }): HTMLCanvasElement;
}

export type Running = { stop: (how?: { keep?: boolean }) => void };

declare global {
  interface Window {
    sightglass: any;
  }
  const sightglass: any;
}
