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

test('a comment that is not sent yet outlives other deeds, and a reason begins as the ruler wrote it', async () => {
  const reason = 'c0/e252/s4 ' + 'x'.repeat(700) + ' end';
  const s = stage({ ...lists(), '/notifications/n1': { ...data.notificationDetail, notification: { ...data.notification, reason }, labels: [{ name: 'alertname', value: 'DriveFailed' }] } } as never);
  show(s, '/notifications/n1');
  expect(await screen.findByText(reason)).toBeInTheDocument();
  await userEvent.type(await screen.findByLabelText('Comment'), 'half of it');
  s.answer.set('POST /notifications/n1/acknowledge', { status: 200, json: data.notification });
  await userEvent.click(screen.getByRole('button', { name: 'Acknowledge' }));
  await screen.findByText(/^Acknowledged: nobody is told again/);
  expect(screen.getByLabelText('Comment')).toHaveValue('half of it');
  s.answer.set('POST /notifications/n1/comment', { status: 200, json: data.notification });
  await userEvent.click(screen.getByRole('button', { name: 'Add' }));
  await screen.findByText('Noted.');
  expect(screen.getByLabelText('Comment')).toHaveValue('');
});

test('another entry is opened in the place of a written one when that is agreed to', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(false);
  const entry = (name: string) => ({ by: '', changed_at: null, contract: '', created_at: null, last_seen: null, missing: true, name, note: '', owner: '', rack: '', role: '', serial: '', server: '', server_id: '', site: '', state: '', version: 1, warranty_until: '' });
  show(stage({ ...lists(), '/register': { items: [entry('db1'), entry('db2')], limit: 100, offset: 0, total: 2 } } as never), '/register');
  await userEvent.click(await screen.findByRole('button', { name: 'Edit db1' }));
  await userEvent.type(await screen.findByLabelText('Owner'), 'ada');
  await userEvent.click(screen.getByRole('button', { name: 'Edit db1' }));
  expect(asked).not.toHaveBeenCalled();
  for (const name of ['Edit db2', 'Add an entry', 'Import a table']) {
    await userEvent.click(screen.getByRole('button', { name }));
    expect(screen.getByLabelText('Owner')).toHaveValue('ada');
  }
  expect(asked).toHaveBeenCalledTimes(3);
  asked.mockReturnValue(true);
  await userEvent.click(screen.getByRole('button', { name: 'Edit db2' }));
  expect(screen.getByLabelText('Owner')).toHaveValue('');
  asked.mockRestore();
});

test('of those that are not silenced, why they should be is kept', async () => {
  const s = stage(lists());
  s.answer.set('POST /deeds', { status: 200, json: { done: 0, failed: 1, items: [{ id: 'n1', ok: false, error: 'bob changed it meanwhile' }] } });
  show(s, '/notifications');
  await userEvent.click(await screen.findByLabelText('Select Drive failed'));
  await userEvent.click(await screen.findByRole('button', { name: 'Silence for 8 hours' }));
  await userEvent.type(screen.getByLabelText('Why it is silenced'), 'ordered{Enter}');
  expect(await screen.findByText('0 done, 1 not: Bob changed it meanwhile.')).toBeInTheDocument();
  expect(screen.getByLabelText('Why it is silenced')).toHaveValue('ordered');
});

test.each([[true, 1], [false, 0]])('partitions are folded away while the clocks run (%s)', async (runs, folded) => {
  const ledger = { received_records: 1, missing_records: 0, duplicate_records: 0, late_records: 0, declared_lost_records: 0, rejected_frames: 0 };
  const partition = { clock: null, committed_at: null, entry: 1, frozen: '', head: null, incarnation: '', ledger, owner: '', partition: 0, stream_time: null };
  const pipeline = { bridge: { configured: false }, clocks_run: runs, lag_entries: null, lag_seconds: null, ledger, ok: runs, partitions: [partition], problems: [], sinks: [], stages: [], storage: { configured: false }, store_bytes: 1, text: '' };
  show(stage({ ...lists(), '/pipeline': pipeline } as never), '/pipeline');
  expect(await screen.findByRole('heading', { name: 'Ruler, per partition' })).toBeInTheDocument();
  expect(screen.queryAllByText('1 runs, nothing is missing')).toHaveLength(folded);
});
