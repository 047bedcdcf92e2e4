import { readFileSync, readdirSync } from 'node:fs';

/** Command lines of the running processes that mention a folder. */
export function processesOf(folder: string): string[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/u.test(entry));
  return pids.map(commandLine).filter((line) => line.includes(folder));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it ended meanwhile
  }
}
