import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { Answer, Question } from '../../host';
import { HostProvider } from '../../host';
import { stage } from '../../test/host';
import { Backtest } from './Backtest';

// What a run is told by the page is what the host ends with: see GrafanaApp.test.tsx and pkg/grpc_test.go for the way from there.
function running() {
  const asked: Question[] = [];
  const lines = (q: Question) => {
    asked.push(q);
    return new Promise<Answer>((_, fail) => q.signal?.addEventListener('abort', () => fail(new Error('aborted'))));
  };
  const page = render(
    <HostProvider value={{ ...stage({}).host, lines }}>
      <Backtest yaml="id: a" disabled={false} />
    </HostProvider>
  );
  return { asked, page };
}

test('Stop ends a run, and another can begin', async () => {
  const { asked } = running();
  await userEvent.click(screen.getByRole('button', { name: 'Try it' }));
  expect(asked[0].signal?.aborted).toBe(false);
  await userEvent.click(screen.getByRole('button', { name: 'Stop' }));
  expect(asked[0].signal?.aborted).toBe(true);
  await userEvent.click(await screen.findByRole('button', { name: 'Try it' }));
  expect(asked[1].signal?.aborted).toBe(false);
  expect(screen.queryByRole('alert')).toBeNull();
});

test('whoever leaves the page ends the run', async () => {
  const { asked, page } = running();
  await userEvent.click(screen.getByRole('button', { name: 'Try it' }));
  page.unmount();
  expect(asked[0].signal?.aborted).toBe(true);
});
