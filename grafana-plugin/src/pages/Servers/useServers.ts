// What the servers page asks for: the filters of its address, and the rows in sight, a hundred at a time.
import { useQueries } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { call, useAnswer, usually, type Params } from '../../api/client';
import type { Server } from '../../api/schema';
import type { Range } from '../../components/LongTable';
import { oneOf } from '../../components/useFilters';
import { useHost, type Host } from '../../host';

export type Query = Omit<Params<'GET', '/servers'>, 'limit' | 'offset'>;

export const statuses = ['critical', 'silent', 'warning', 'info', 'new', 'planned', 'ok', 'decommissioned', 'revoked'] as const;
export const supports = ['ended', 'ends_soon', 'active', 'unknown'] as const;
const states = ['up', 'silent', 'stopped', 'waiting', 'revoked', 'decommissioned'] as const;
const sorts = ['worst', 'name', '-name', 'site', '-site', 'rack', '-rack', 'owner', '-owner', 'last_seen', '-last_seen', 'os', '-os', 'model', '-model', 'updates', '-updates', 'support_end', '-support_end', 'exporter_version', '-exporter_version', 'boot_time', '-boot_time'] as const;

const flag = (text: string | undefined) => (text === 'true' ? true : text === 'false' ? false : undefined);

/** The question of an address; what it does not know is left out. */
export function question(q: Record<string, string>): Query {
  return {
    search: q.search, site: q.site, rack: q.rack, role: q.role, owner: q.owner, os: q.os, model: q.model, exporter_version: q.exporter_version,
    status: statuses.filter((s) => q.status?.split(',').includes(s)),
    state: states.filter((s) => q.state?.split(',').includes(s)),
    support: supports.filter((s) => q.support?.split(',').includes(s)),
    simulated: flag(q.simulated), clones: flag(q.clones), updates_pending: flag(q.updates), reboot_required: flag(q.restart),
    sort: oneOf(q.sort, sorts) ?? 'worst',
  };
}

const size = 100;

/** The list as far as it is in sight: how many there are, any row that has come, and where to say what is in sight. */
export function useServers(query: Query) {
  const host = useHost();
  const [range, setRange] = useState<Range>({ first: 0, last: 0 });
  const [settled, setSettled] = useState(range);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(range), 80); // who drags the bar along asks only where it stops
    return () => clearTimeout(timer);
  }, [range]);
  const head = useAnswer('/servers', { ...query, offset: 0, limit: size });
  const total = head.data?.total ?? 0;
  const wanted = useMemo(() => {
    const out: number[] = [];
    for (let p = Math.max(1, Math.floor(settled.first / size)); p * size < Math.min(settled.last, total) && !head.isPlaceholderData; p++) {
      out.push(p);
    }
    return out;
  }, [settled, total, head.isPlaceholderData]);
  const pages = useQueries({
    queries: wanted.map((p) => {
      const params = { ...query, offset: p * size, limit: size };
      return { queryKey: ['/servers', params], queryFn: ({ signal }: { signal: AbortSignal }) => call(host, 'GET', '/servers', params, undefined, signal), refetchInterval: usually };
    }),
  });
  const first = head.data?.items;
  const row = useCallback(
    (i: number): Server | undefined => (i < size ? first?.[i] : pages[wanted.indexOf(Math.floor(i / size))]?.data?.items[i % size]),
    [first, pages, wanted]
  );
  return { head, total, row, setRange };
}

/** Every server that matches, read a thousand at a time. */
export async function everyServer(host: Host, query: Query, progress?: (n: number) => void): Promise<Server[]> {
  const out = new Map<string, Server>(); // one that moves while we read comes once
  for (let offset = 0; ; offset += 1000) {
    const page = await call(host, 'GET', '/servers', { ...query, sort: 'name', offset, limit: 1000 });
    page.items.forEach((s) => out.set(s.id, s));
    progress?.(out.size);
    if (offset + 1000 >= page.total) {
      return [...out.values()];
    }
  }
}
