import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';
import { visibleText } from './lint/visible-text.mjs';

export default ts.config(
  { ignores: ['dist/', 'src/api/schema.ts', 'src/test/*.js', 'src/publicPath.js', 'e2e/artifacts/'] },
  ts.configs.recommended,
  hooks.configs['recommended-latest'],
  {
    files: ['src/**/*.ts', 'src/**/*.tsx'],
    rules: {
      eqeqeq: 'error',
      'no-console': ['error', { allow: ['warn', 'error'] }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { args: 'all', argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'react-hooks/exhaustive-deps': 'error',
    },
  },
  {
    files: ['src/**/*.tsx'],
    ignores: ['src/**/*.test.tsx', 'src/test/**'],
    plugins: { nocturne: { rules: { 'visible-text': visibleText } } },
    rules: { 'nocturne/visible-text': 'error' },
  },
);
