// Typed calls of the ruler's API. Paths, parameters, bodies and answers come from schema.ts, which is made from the
// ruler's own table of routes: a call that does not fit does not compile.
import { useMutation, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { sentence } from '../format';
import { useHost, type Answer, type Host } from '../host';
import type { Operations } from './schema';

type Any = Operations[keyof Operations];
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
export type Path<M extends Method> = Extract<Any, { method: M }>['path'];
type Op<M, P> = Extract<Any, { method: M; path: P }>;
export type Params<M, P> = Op<M, P> extends { params: infer X } ? X : never;
export type AnswerOf<M, P> = Op<M, P> extends { answer: infer X } ? X : never;
export type BodyOf<M, P> = Op<M, P> extends { body: infer X } ? X : never;

/** An answer that says no, in the ruler's words; status 0 = nobody answered. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string,
    /** the whole answer, where it says more */
    readonly answer?: unknown
  ) {
    super(message);
    this.name = 'Refusal';
  }

  /** What it is in a word, where somebody has to know; '' = nobody has. */
  get code(): string {
    return (this.answer as { code?: string } | undefined)?.code ?? '';
  }
}

/** An error in a line. */
export const told = (e: unknown) => (e instanceof Refusal ? `${sentence(e.message)} ${sentence(e.hint)}` : String(e));

let skew = 0;

/** The time by the ruler's clock, in ms. */
export const now = () => Date.now() + skew;

/** Puts parameters into the path's braces, and the rest into the query. */
export function address(path: string, params: Record<string, unknown>): { path: string; query: URLSearchParams } {
  const rest = { ...params };
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const v = rest[name];
    delete rest[name];
    return encodeURIComponent(String(v));
  });
  const query = new URLSearchParams();
  for (const [k, v] of Object.entries(rest)) {
    const text = Array.isArray(v) ? v.join(',') : v === undefined || v === null ? '' : String(v);
    if (text !== '') {
      query.set(k, text);
    }
  }
  return { path: filled, query };
}

/** Asks once; throws a Refusal unless the answer is a good one. */
export async function call<M extends Method, P extends string>(host: Host, method: M, path: P, params: Params<M, P>, body?: BodyOf<M, P>, signal?: AbortSignal): Promise<AnswerOf<M, P>> {
  let answer: Answer;
  try {
    answer = await host.ask({ method, ...address(path, params as Record<string, unknown>), body, signal });
  } catch (e) {
    if (signal?.aborted) {
      throw e;
    }
    throw new Refusal(0, 'The ruler does not answer.', 'Is it running? This page asks again by itself.');
  }
  if (Math.abs(answer.date - Date.now()) > 2000) {
    skew = answer.date - Date.now();
  }
  if (answer.status < 200 || answer.status > 299 || answer.json === undefined) {
    const said = (answer.json ?? {}) as { error?: string; hint?: string };
    throw new Refusal(answer.status, said.error ?? 'The answer cannot be read.', said.hint ?? 'Is something between this page and the ruler?', answer.json);
  }
  return answer.json as AnswerOf<M, P>;
}

export interface AskOptions {
  /** false: do not ask now */
  enabled?: boolean;
  /** how often to ask again although nothing told of a change, in ms; 0 = never */
  every?: number;
}

/** How often what nobody tells us of is asked for. */
export const usually = 15_000;

/** A GET that is kept up to date: asked again when the stream of changes names its subject, and every so often. */
export function useAnswer<P extends Path<'GET'>>(path: P, params: Params<'GET', P>, options: AskOptions = {}): UseQueryResult<AnswerOf<'GET', P>, Refusal> {
  const host = useHost();
  return useQuery<AnswerOf<'GET', P>, Refusal>({
    queryKey: [path, params],
    queryFn: ({ signal }) => call(host, 'GET', path, params, undefined, signal),
    enabled: options.enabled ?? true,
    refetchInterval: options.every ?? usually,
    placeholderData: (before) => before,
  });
}

/** A change; after it every answer is asked for anew. */
export function useChange<M extends 'POST' | 'PUT' | 'DELETE', P extends Path<M>>(method: M, path: P) {
  const host = useHost();
  const client = useQueryClient();
  return useMutation<AnswerOf<M, P>, Refusal, { params: Params<M, P>; body?: BodyOf<M, P> }>({
    mutationFn: ({ params, body }) => call<M, P>(host, method, path, params, body),
    onSettled: () => client.invalidateQueries(),
  });
}
