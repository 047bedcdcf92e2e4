import { runService } from '../run-service.ts';
import { readInteger } from '../service-settings.ts';
import { createHelloGrpc } from './hello-grpc.ts';

await runService(
  {
    name: 'hello-grpc',
    defaultPort: 50_051,
    create: (context) => createHelloGrpc({ ...context, metricsPort: readInteger(process.env, 'METRICS_PORT', { fallback: 9090, max: 65_535 }) }),
  },
  process.env,
);
