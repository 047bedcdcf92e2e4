import { ProtocolError } from './api-error.ts';

const newline = 0x0a;

/** Splits bytes at line ends. A line is decoded once it is whole, so chunk borders inside a character or a string do no harm. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxLineBytes = 16 * 1024 * 1024) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that this chunk completes. What is left at the end of the stream is a broken line and is dropped. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      lines.push(this.#finish(chunk.subarray(start, end)));
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines.filter((line) => line.trim() !== '');
  }

  #finish(end: Buffer): string {
    const line = this.#rest.length === 0 ? end : Buffer.concat([...this.#rest, end]);
    this.#rest = [];
    this.#restBytes = 0;
    return line.toString('utf8');
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#restBytes += part.length;
    if (this.#restBytes > this.#maxLineBytes) throw new ProtocolError(`a watch event is larger than ${this.#maxLineBytes} bytes`);
    this.#rest.push(part);
  }
}
