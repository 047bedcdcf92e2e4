/** An entry of a tar archive without its content. */
export interface TarHeader {
  /** Without a leading slash; 255 bytes at most, and the last part 100 at most. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
}

const blockBytes = 512;

/** What follows the last entry. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

/** The header block in ustar format (POSIX.1-1988), with time 0 so that equal files make equal archives. */
export function tarHeader(entry: TarHeader): Buffer {
  const block = Buffer.alloc(blockBytes);
  const { name, prefix } = split(entry.type === 'directory' ? `${entry.path}/` : entry.path);
  block.write(name, 0);
  writeOctal(block, 100, 8, entry.mode);
  writeOctal(block, 108, 8, entry.uid);
  writeOctal(block, 116, 8, entry.gid);
  writeOctal(block, 124, 12, entry.sizeBytes);
  writeOctal(block, 136, 12, 0);
  block.write(entry.type === 'directory' ? '5' : '0', 156);
  block.write('ustar\x0000', 257);
  block.write(prefix, 345);
  block.fill(' ', 148, 156); // the checksum counts its own field as blanks
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** The zeros that fill the last block of a content. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}

/** How long header, content and padding are together. */
export function tarEntryBytes(sizeBytes: number): number {
  return blockBytes + sizeBytes + tarPadding(sizeBytes).length;
}

function split(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  const slash = path.indexOf('/', Buffer.byteLength(path) - 101);
  const [name, prefix] = [path.slice(slash + 1), path.slice(0, slash)];
  if (slash < 0 || name === '' || Buffer.byteLength(name) > 100 || Buffer.byteLength(prefix) > 155) throw new Error(`tar: the path is too long: ${path}`);
  return { name, prefix };
}

function writeOctal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset);
}
