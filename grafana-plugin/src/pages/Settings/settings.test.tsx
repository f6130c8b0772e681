import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import * as data from '../../test/data';
import { show, stage } from '../../test/host';
import { differences } from './differences';

const admin = { name: 'ada', role: 'admin', via: 'session', version: '1.0.0' };

test('what was before and after', () => {
  expect(differences([{ name: 'role', value: '{"before":"viewer","after":"editor"}' }])).toEqual([{ name: 'role', before: 'viewer', after: 'editor' }]);
  expect(
    differences([
      { name: 'after', value: '{"severity":"critical","for":"5m"}' },
      { name: 'before', value: '{"severity":"warning","for":"5m"}' },
      { name: 'comment', value: 'late' },
      { name: 'nothing', value: '' },
    ])
  ).toEqual([
    { name: 'severity', before: 'warning', after: 'critical' },
    { name: 'comment', value: 'late' },
  ]);
  expect(differences([{ name: 'cut', value: '{"before":"vie…' }])).toEqual([{ name: 'cut', value: '{"before":"vie…' }]);
});

test('the last admin stays, and the ruler says why', async () => {
  const user = { id: 'a', name: 'ada', role: 'admin', state: 'active', created_by: 'link', created_at: null, password_chosen_at: null, login_at: null, link_until: null };
  const s = stage({ '/overview': data.overview, '/me': admin, '/users': { items: [user] } });
  s.answer.set('DELETE /users/a', { status: 409, json: { error: 'this is the last admin who can log in', hint: 'make another user admin first' } });
  show(s, '/settings');
  await userEvent.click(await screen.findByRole('button', { name: 'Remove: ada' }));
  await userEvent.click(screen.getByRole('button', { name: 'Remove ada' }));
  expect(await screen.findByText('This is the last admin who can log in.')).toBeInTheDocument();
});

test('in Grafana there are no users, and it says why', async () => {
  const s = stage({ '/overview': data.overview, '/me': admin, '/tokens': { items: [] } });
  s.host.logsIn = false;
  show(s, '/settings?tab=users');
  expect(await screen.findByText('People log in to Grafana')).toBeInTheDocument();
  expect(screen.queryByRole('tab', { name: 'Users' })).toBeNull();
  expect(s.asked.some((q) => q.path === '/users')).toBe(false);
});

test('a second token is not taken for copied, and a browser that cannot copy says so', async () => {
  const made = (name: string, value: string) => ({ status: 200, json: { token: { id: name, name, role: 'viewer', kind: 'token', created_at: null, created_by: 'ada', expires_at: null, revoked_at: null, revoked_by: '', used_at: null }, value } });
  const s = stage({ '/overview': data.overview, '/me': admin, '/tokens': { items: [] } });
  show(s, '/settings?tab=tokens');
  const make = async (name: string, value: string) => {
    s.answer.set('POST /tokens', made(name, value));
    await userEvent.type(await screen.findByLabelText('Whose it is'), name);
    await userEvent.click(screen.getByRole('button', { name: 'Make it' }));
    await screen.findByText(value);
  };
  await make('one', 'secret-1');
  Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true });
  await userEvent.click(screen.getByRole('button', { name: 'Copy' }));
  expect(await screen.findByText(/select it and copy it yourself/)).toBeInTheDocument();
  Object.defineProperty(navigator, 'clipboard', { value: { writeText: async () => undefined }, configurable: true });
  await userEvent.click(screen.getByRole('button', { name: 'Copy' }));
  expect(await screen.findByText('Copied.')).toBeInTheDocument();
  await make('two', 'secret-2');
  expect(screen.queryByText('Copied.')).toBeNull();
});
