// Grafana's packages and what they stand on are ES modules: they are translated for the tests too.
module.exports = {
  testEnvironment: 'jsdom',
  testTimeout: 60_000, // machines are busy at times
  roots: ['<rootDir>/src'],
  setupFilesAfterEnv: ['<rootDir>/src/test/setup.ts'],
  transform: { '^.+\\.m?[jt]sx?$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript', tsx: true }, transform: { react: { runtime: 'automatic' } } } }] },
  transformIgnorePatterns: [],
  moduleNameMapper: { '\\.css$': '<rootDir>/src/test/empty.js', '^react-inlinesvg$': '<rootDir>/src/console/InlineSvg.tsx' },
};
