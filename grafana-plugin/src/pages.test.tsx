import { act, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { fromHash } from './routes';
import * as data from './test/data';
import { show, stage } from './test/host';

const lists = () => ({
  '/overview': data.overview,
  '/notifications': { items: [data.notification], limit: 8, offset: 0, total: 1 },
  '/changes': { items: [data.change], limit: 8, next_before_id: 0 },
  '/silent': { items: [], limit: 8, offset: 0, total: 0 },
  '/servers': { items: [data.server], limit: 100, offset: 0, total: 1 },
  '/server-facets': { facets: [{ name: 'simulated', values: [{ value: 'false', count: 1 }] }] },
  '/me': { name: 'ada', role: 'editor', via: 'token', version: '1.0.0' },
});

test('tonight says what is wrong and where', async () => {
  show(stage(lists()), '/');
  expect(await screen.findByText('Something is broken on one server')).toBeInTheDocument();
  expect(await screen.findByRole('link', { name: 'Drive failed' })).toHaveAttribute('href', '/notifications/n1');
  expect(await screen.findByText('physical drive c0/e252/s4: state Onln → Failed')).toBeInTheDocument();
  expect(await screen.findByText('Everybody speaks.')).toBeInTheDocument();
});

test('links of messages from earlier versions lead to the same page', async () => {
  const { where } = show(stage({ ...lists(), '/notifications/n1': data.notificationDetail } as never), '/#/notifications/n1');
  expect(await screen.findByText('Not acknowledged.')).toBeInTheDocument();
  expect(where()).toBe('/notifications/n1');
  for (const [hash, path] of [['#/servers/5e17', '/servers/5e17'], ['#/servers', '/servers'], ['#/servers/?site=x', '/servers'], ['#/', undefined], ['', undefined], ['#main', undefined], ['#/notifications/../x', undefined], ['#/pipeline/x', undefined]] as const) {
    expect(fromHash(hash)).toBe(path);
  }
});

test('a change that is told is shown without waiting', async () => {
  const s = stage(lists());
  show(s, '/notifications');
  await screen.findByText('Drive failed');
  const before = s.asked.filter((q) => q.path === '/notifications').length;
  act(() => s.tell({ kind: 'notification', data: null }));
  await waitFor(() => expect(s.asked.filter((q) => q.path === '/notifications').length).toBeGreaterThan(before));
});

test('filters stand in the address, and in the question', async () => {
  const s = stage(lists());
  const { where } = show(s, '/servers?status=silent,nonsense');
  await screen.findByText('db7');
  const asked = () => s.asked.filter((q) => q.path === '/servers').at(-1)?.query?.toString();
  expect(asked()).toBe('status=silent&sort=worst&offset=0&limit=100');
  await userEvent.selectOptions(screen.getByLabelText('Kind'), 'false');
  await waitFor(() => expect(asked()).toBe('status=silent&simulated=false&sort=worst&offset=0&limit=100'));
  expect(where()).toBe('/servers?status=silent%2Cnonsense&simulated=false');
});

test('an acknowledgement names the revision that was seen, and a refusal is told', async () => {
  const s = stage({ ...lists(), '/notifications/n1': data.notificationDetail } as never);
  show(s, '/notifications/n1');
  s.answer.set('POST /notifications/n1/acknowledge', { status: 409, json: { error: 'bob acknowledged it meanwhile', hint: 'look again' } });
  await userEvent.click(await screen.findByRole('button', { name: 'Acknowledge' }));
  expect(await screen.findByText('Bob acknowledged it meanwhile. Look again.')).toBeInTheDocument();
  expect(s.asked.find((q) => q.method === 'POST')?.body).toEqual({ revision: 3 });
});

test('who may only look is offered nothing to do', async () => {
  const s = stage({ ...lists(), '/me': { name: 'bob', role: 'viewer', via: 'token', version: '1.0.0' }, '/notifications/n1': data.notificationDetail } as never);
  show(s, '/notifications/n1');
  await screen.findByText('Not acknowledged.');
  expect(screen.queryByRole('button', { name: 'Acknowledge' })).toBeNull();
});

test('the states of a list: forbidden, failed with a way to ask again', async () => {
  const s = stage(lists());
  s.answer.set('GET /servers', { status: 403, json: { error: 'a viewer may not', hint: 'ask an admin' } });
  show(s, '/servers');
  expect(await screen.findByText('You may not see this.')).toBeInTheDocument();
  s.answer.set('GET /changes', { status: 400, json: { error: 'it broke', hint: 'mend it' } });
  const { where } = show(s, '/changes');
  expect(await screen.findByText('It broke.')).toBeInTheDocument();
  s.answer.delete('GET /changes');
  await userEvent.click(screen.getByRole('button', { name: 'Retry' }));
  expect(await screen.findByText('physical drive c0/e252/s4: state Onln → Failed')).toBeInTheDocument();
  expect(where()).toBe('/changes');
});
