/** Two projects: `unit` needs nothing but Node; `cluster` starts a lab with a real API server (see lab/). */
const typescript = {
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' }, experimental: { keepImportAttributes: true } }, module: { type: 'es6' } }],
  },
  testEnvironment: 'node',
};

export default {
  projects: [
    { ...typescript, displayName: 'unit', testMatch: ['<rootDir>/{src,services,lab,build,test}/**/*.test.ts'], testPathIgnorePatterns: ['/node_modules/', '\\.cluster\\.test\\.ts$'] },
    { ...typescript, displayName: 'cluster', testMatch: ['<rootDir>/{src,services,lab,test}/**/*.cluster.test.ts'] },
  ],
};
