import { useCallback, useEffect, useMemo, useRef } from 'react';
import { useSearchParams } from 'react-router-dom';

/** The filters in the address: what is empty is not there; changing one begins at the first page again. */
export function useFilters(): [Record<string, string>, (changes: Record<string, string | number | undefined>) => void] {
  const [params, setParams] = useSearchParams();
  // What the address says, or will when the page is drawn next: a change in between adds to the one before it.
  const latest = useRef(params);
  useEffect(() => {
    latest.current = params;
  }, [params]);
  const set = useCallback(
    (changes: Record<string, string | number | undefined>) => {
      const next = new URLSearchParams(latest.current);
      if (!('offset' in changes)) {
        next.delete('offset');
      }
      for (const [k, v] of Object.entries(changes)) {
        if (v === undefined || v === '' || (k === 'offset' && v === 0)) {
          next.delete(k);
        } else {
          next.set(k, String(v));
        }
      }
      latest.current = next;
      setParams(next, { replace: true });
    },
    [setParams]
  );
  return [useMemo(() => Object.fromEntries(params), [params]), set];
}

/** One of the words that are allowed, or undefined: an address is typed by people. */
export function oneOf<T extends string>(value: string | undefined, words: readonly T[]): T | undefined {
  return words.find((w) => w === value);
}
