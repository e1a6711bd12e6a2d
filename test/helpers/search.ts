/**
 * Looking for plaintext where none should be: in the memory that a process can write to, in what passes a network
 * device (both need root), and in the files of a home. A search that would find nothing anyway is worth nothing, so
 * tests run each once where the marker is known to be.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './hosts.js';

const PIECE = 8 * 1024 * 1024;

export interface MemorySearch {
  /** bytes that were read */
  readonly bytes: number;
  /** places at which the marker stands, overlapping ones left out */
  readonly found: number;
}

/** Reads all memory that the process may write to. */
export function searchMemory(pid: number, marker: Buffer): MemorySearch {
  const maps = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let [bytes, found] = [0, 0];
  try {
    for (const line of maps) {
      const [, from, to, mode] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
      if (mode?.startsWith('rw') !== true || line.endsWith('[vvar]')) continue;
      const range = searchRange(memory, Number(`0x${from!}`), Number(`0x${to!}`), marker);
      bytes += range.bytes;
      found += range.found;
    }
  } finally {
    closeSync(memory);
  }
  return { bytes, found };
}

function searchRange(memory: number, from: number, to: number, marker: Buffer): MemorySearch {
  const buffer = Buffer.alloc(PIECE);
  let [bytes, found] = [0, 0];
  for (let at = from; at < to;) {
    const read = readAt(memory, buffer, at, Math.min(PIECE, to - at));
    if (read === 0) break;
    const piece = buffer.subarray(0, read);
    found += count(piece, marker);
    bytes += read;
    // What lies across two pieces is seen in the second one.
    at += at + read < to && read >= marker.length ? read - marker.length + 1 : read;
  }
  return { bytes, found };
}

/** @returns 0 for what cannot be read: gone meanwhile, or nothing behind it */
function readAt(memory: number, buffer: Buffer, at: number, length: number): number {
  try {
    return readSync(memory, buffer, 0, length, at);
  } catch {
    return 0;
  }
}

function count(bytes: Buffer, marker: Buffer): number {
  let found = 0;
  for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + marker.length)) found++;
  return found;
}

export interface Captured {
  readonly packets: number;
  readonly bytes: number;
  readonly found: number;
}

/** Every packet that passes the device, either way; ends when its input does, and tells what it saw. */
const CAPTURE = `
import json, select, socket, sys
device, marker = sys.argv[1], bytes.fromhex(sys.argv[2])
ALL = 3
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(ALL))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
s.bind((device, ALL))
print('ready', flush=True)
packets = size = found = 0
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s in ready:
        packet = s.recv(1 << 17)
        packets += 1
        size += len(packet)
        found += packet.count(marker)
    elif sys.stdin in ready and not sys.stdin.readline():
        break
print(json.dumps({'packets': packets, 'bytes': size, 'found': found}))
`;

/** Captures in a namespace until the returned function is called. */
export async function capture(
  lab: Lab,
  netns: string,
  marker: Buffer,
  device = 'eth0',
): Promise<() => Promise<Captured>> {
  const args = ['netns', 'exec', netns, 'python3', '-c', CAPTURE, device, marker.toString('hex')];
  const child = lab.keep(spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] }));
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
  while (!output.includes('ready')) await once(child.stdout!, 'data');
  return async () => {
    child.stdin!.end();
    await once(child, 'close');
    return JSON.parse(output.slice(output.indexOf('{'))) as Captured;
  };
}

/** How bytes may stand in a file: as they are, in hexadecimal, in base64 of either alphabet with anything around them. */
function writings(secret: Uint8Array): Buffer[] {
  const hex = Buffer.from(secret).toString('hex');
  const inBase64 = [0, 1, 2].flatMap(before => {
    const text = Buffer.concat([Buffer.alloc(before), secret]).toString('base64');
    // Only letters made of nothing but the secret's bits.
    const whole = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + secret.length) * 8) / 6));
    return [whole, whole.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [Buffer.from(secret), ...[hex, hex.toUpperCase(), ...new Set(inBase64)].map(text => Buffer.from(text))];
}

/** @returns the files below `folder` in which one of the secrets stands, however written */
export function filesWith(folder: string, secrets: readonly Uint8Array[]): string[] {
  const wanted = secrets.flatMap(writings);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(file => {
      const content = readFileSync(file);
      return wanted.some(bytes => content.includes(bytes));
    });
}
