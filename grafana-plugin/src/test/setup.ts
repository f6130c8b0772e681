import '@testing-library/jest-dom';
import { TextDecoder, TextEncoder } from 'node:util';

// What browsers have and jsdom has not.
Object.assign(globalThis, { TextDecoder, TextEncoder });
Object.defineProperty(window, 'matchMedia', { value: (media: string) => ({ media, matches: false, addEventListener: () => undefined, removeEventListener: () => undefined, addListener: () => undefined, removeListener: () => undefined }) });
HTMLCanvasElement.prototype.getContext = (() => null) as never;
