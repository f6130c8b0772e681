import '@testing-library/jest-dom';
import { configure } from '@testing-library/react';
import { TextDecoder, TextEncoder } from 'node:util';

configure({ asyncUtilTimeout: 20_000 }); // a busy machine is no mistake of the page's

// What browsers have and jsdom has not.
Object.assign(globalThis, { TextDecoder, TextEncoder });
Object.defineProperty(window, 'matchMedia', { value: (media: string) => ({ media, matches: false, addEventListener: () => undefined, removeEventListener: () => undefined, addListener: () => undefined, removeListener: () => undefined }) });
HTMLCanvasElement.prototype.getContext = (() => null) as never;
