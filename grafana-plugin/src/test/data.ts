// Made up for the tests.
import type { Change, Device, Notification, NotificationDetail, Overview, Server, ServerDetail } from '../api/schema';

const at = new Date(Date.now() - 7 * 60e3).toISOString();

export const server: Server = {
  boot_time: at, clone: false, clone_of: '', enrolled_at: at, exporter_version: '1.0.0', id: '5e170000000000000000000000000005', labels_version: 'v1', last_seen: at, model: 'ProLiant', name: 'db7', open_notifications: 1,
  os_name: 'Windows Server 2022', os_release: '2022', os_type: 'windows', os_version: '10.0', owner: 'ada', rack: 'n03', reboot_required: false, role: 'sql', simulated: false, site: 'north', state: 'up', state_since: at, status: 'critical',
  status_text: '1 open notification', support_end: null, warranty_until: '2028-03-31', contract: 'HPE-77', updates_pending: 2, updates_security: 1, worst_severity: 'critical',
};

export const notification: Notification = {
  changed_at: at, class: 'drive-failed', device: 'physical_drive c0/e252/s4', folded_into: '', id: 'n1', muted: '', opened_at: at, probe: '', reason: 'state went from Onln to Failed', resolved_at: null, rule_id: 'raid-drive-failed', server: 'db7',
  server_id: server.id, severity: 'critical', silence_reason: '', silenced_until: null, simulated: false, site: 'north', state: 'firing', title: 'Drive failed', work: { acked_at: null, acked_by: '', assignee: '', comments: 0, revision: 3 },
};

export const overview: Overview = {
  features: { add_server: true, charts: false, delivered: false, demo: false }, now: at, open_notifications: 1, pipeline_ok: true, pipeline_text: '9 records received, 0 missing.', silence_judged: true, status: 'critical', text: 'Of 1 servers: 1 critical.',
  servers: { clones: 0, critical: 1, info: 0, new: 0, planned: 0, revoked: 0, silent: 0, simulated: 0, total: 1, up: 1, warning: 0 }, sites: [{ site: 'north', servers: 1, silent: 0, with_open_notifications: 1 }],
};

export const device = (place: string, more: Partial<Device> = {}): Device => ({
  category: 'raid', changed_at: at, fields: [], firmware: '', first_seen: at, group: 'c0', model: 'ST4000', place, removed_at: null, serial: 'Z' + place, size_bytes: 4e12, state: 'Onln', status: 'ok', status_text: '', type: 'physical_drive', type_text: 'physical drive', ...more,
});

export const change: Change = {
  after: 'Failed', at, before: 'Onln', category: 'raid', device_type: 'physical_drive', field: 'state', from_place: '', from_server: '', from_server_id: '', muted: '', plan_id: '', plan_who: '', plan_why: '', hash: 'h', id: 1, kind: 'field', place: 'c0/e252/s4', received_at: at, record_id: 'r', serial: '', server: 'db7', server_id: server.id,
  simulated: false, text: 'physical drive c0/e252/s4: state Onln → Failed',
};

export const detail: ServerDetail = { as_of: null, devices: [device('c0/e252/s4', { status: 'critical', state: 'Failed' })], facts: [], known_since: null, labels: [], lines: [], notifications: [notification], observed: [], register: [], server };

export const notificationDetail: NotificationDetail = { after: 'Failed', annotations: [], before: 'Onln', deeds: [], deliveries: [], earlier: [], escalated_labels: [], evidence: [], labels: [], members: [], runbook: { also: [], name: '', own: false, text: '', title: '' }, notification, silences: [], timeline: [], why: [] };
