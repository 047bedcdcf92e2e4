import { mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { runService, type ServiceContext } from '../run-service.ts';
import { hashParallelism } from './password-hasher.ts';
import { createRegister } from './register.ts';
import { UserStore } from './user-store.ts';

function dataFolder(log: ServiceContext['log']): string {
  const folder = process.env['DATA_DIR'];
  if (folder) return folder;
  const temporary = mkdtempSync(join(tmpdir(), 'register-'));
  log.warn('users are lost with this pod: set DATA_DIR to a folder on a volume', { folder: temporary });
  return temporary;
}

process.umask(0o007);
await runService(
  {
    name: 'register',
    defaultPort: 8080,
    create: (context) => {
      const parallel = hashParallelism({ memoryLimitBytes: process.constrainedMemory(), totalMemoryBytes: totalmem(), processors: availableParallelism() });
      const store = new UserStore(dataFolder(context.log));
      process.once('exit', () => store.close());
      return createRegister({ ...context, store, hashing: { parallel, maxWaiting: 16 } });
    },
  },
  process.env,
);
