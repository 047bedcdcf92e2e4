import { runService } from '../run-service.ts';
import { createHelloHttp } from './hello-http.ts';

await runService(
  {
    name: 'hello-http',
    defaultPort: 8080,
    create: (context) => createHelloHttp({ ...context, loadEndpoint: process.env['LOAD_ENDPOINT'] === 'true' }),
  },
  process.env,
);
