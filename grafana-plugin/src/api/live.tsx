// The ruler's stream of changes: what it names is asked for anew, at most four times a second.
import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react';
import { useHost, type LiveEvent } from '../host';

const settle = 250; // ms in which changes are gathered

/** Which questions an event makes old, by their path. */
function concerns(kind: LiveEvent['kind'], path: string): boolean {
  switch (kind) {
    case 'notification':
      return /^\/(notifications|overview|servers|silent|devices|device-facets|delivered|rules\/\{id\}$)/.test(path);
    case 'server':
      return /^\/(overview|server|silent|changes|devices|device-facets)/.test(path);
    default:
      return true;
  }
}

const LiveContext = createContext(false);

/** Whether changes are told, so that what is shown is what is. */
export const useLive = () => useContext(LiveContext);

export function Live({ children }: { children: ReactNode }) {
  const host = useHost();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const kinds = new Set<LiveEvent['kind']>();
    const flush = () => {
      timer = undefined;
      const told = [...kinds];
      kinds.clear();
      void client.invalidateQueries({ predicate: (q) => told.some((k) => concerns(k, String(q.queryKey[0]))) });
    };
    const stop = host.follow((e) => {
      kinds.add(e.kind);
      timer ??= setTimeout(flush, settle);
    }, setOpen);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [host, client]);
  return <LiveContext.Provider value={open}>{children}</LiveContext.Provider>;
}
