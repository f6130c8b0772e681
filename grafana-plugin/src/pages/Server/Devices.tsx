// The parts of a server: a panel for every controller and what hangs on it, its drive bays drawn; then the machine's own.
import { t } from '@grafana/i18n';
import { useMemo } from 'react';
import type { Device } from '../../api/schema';
import { SerialLink } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { bytes, clean, field, number, plural } from '../../format';
import { Bays } from './Bays';

const many = 12;
const few = 4;

/** The parts of each group, the machine's own (which has none) last; what is gone comes apart. */
export function grouped(devices: Device[]): { groups: Array<[string, Device[]]>; gone: Device[] } {
  const groups = new Map<string, Device[]>();
  const gone: Device[] = [];
  for (const d of devices) {
    if (d.removed_at) {
      gone.push(d);
    } else {
      groups.set(d.group, [...(groups.get(d.group) ?? []), d]);
    }
  }
  return { groups: [...groups].sort(([a], [b]) => Number(a === '') - Number(b === '') || a.localeCompare(b, undefined, { numeric: true })), gone };
}

export function Devices({ of }: { of: Device[] }) {
  const { groups, gone } = useMemo(() => grouped(of), [of]);
  return (
    <Rows>
      {groups.map(([group, list]) => (
        <Panel key={group} title={group ? `${t('devices.controller', 'Controller')} ${clean(group, 40)}` : t('devices.machine', 'The machine itself')} extra={<Dim>{plural('devices.parts', list.length, '1 part', '{{n}} parts')}</Dim>}>
          <Bays of={list} />
          <Folded of={list} />
        </Panel>
      ))}
      {gone.length > 0 && (
        <Panel title={t('devices.gone', 'No longer there')} extra={<Dim>{number(gone.length)}</Dim>}>
          <Folded of={gone} />
        </Panel>
      )}
    </Rows>
  );
}

/** One table; of a long list, the parts that are well are folded away where there are many of a type. */
function Folded({ of }: { of: Device[] }) {
  const types = new Map<string, Device[]>();
  for (const d of of) {
    types.set(d.type, [...(types.get(d.type) ?? []), d]);
  }
  const well = [...types.values()].map((list) => list.filter((d) => d.status === 'ok'));
  const away = of.length <= many ? [] : well.filter((list) => list.length > few);
  const shown = of.filter((d) => !away.some((list) => list.includes(d)));
  return (
    <>
      {shown.length > 0 && <Parts of={shown} />}
      {away.map((list) => (
        <details key={list[0].type}>
          <summary>
            {number(list.length)} × <Data max={60}>{list[0].type_text}</Data>
            {types.get(list[0].type)?.length !== list.length && <> <Dim>{t('devices.well', 'nothing wrong')}</Dim></>}
          </summary>
          <Parts of={list} />
        </details>
      ))}
    </>
  );
}

const columns: Array<Column<Device>> = [
  { id: 'type', name: () => t('devices.column.type', 'Part'), width: 130, cell: (d) => <Data max={60}>{d.type_text}</Data> },
  { id: 'place', name: () => t('devices.column.place', 'Place'), cell: (d) => d.place && <code><Data max={80}>{d.place}</Data></code> },
  {
    id: 'state', name: () => t('devices.column.state', 'State'),
    cell: (d) =>
      d.removed_at ? (
        <Dim>
          {t('devices.goneSince', 'gone')} <When at={d.removed_at} />
        </Dim>
      ) : d.status !== 'ok' ? (
        <>
          <Status of={d.status} title={clean(d.status_text)} /> <Data max={40}>{d.state}</Data>
        </>
      ) : (
        d.state && <Data max={40}>{d.state}</Data>
      ),
  },
  { id: 'serial', name: () => t('devices.column.serial', 'Serial'), cell: (d) => d.serial && <SerialLink number={d.serial} type={d.type} /> },
  {
    id: 'model', name: () => t('devices.column.model', 'Model'),
    cell: (d) =>
      (d.model || d.firmware) && (
        <>
          <Data max={80}>{d.model}</Data> {d.firmware && <Dim>{t('devices.firmware', 'firmware')} <Data max={40}>{d.firmware}</Data></Dim>}
        </>
      ),
  },
  { id: 'more', name: () => t('devices.column.more', 'More'), cell: (d) => more(d) },
];

/** Size and other fields, six at most: all of them are in the API. */
function more(d: Device) {
  const list = d.fields.slice(0, 6).map((f) => field(f.name, f.value).join(' '));
  if (d.size_bytes !== null) {
    list.unshift(bytes(d.size_bytes, d.type === 'memory'));
  }
  return list.length > 0 && <Dim>{list.join(' · ')}</Dim>;
}

function Parts({ of }: { of: Device[] }) {
  return <Table label={t('server.parts', 'Parts')} columns={columns} rows={of} id={(d) => d.type + ' ' + d.place} status={(d) => (d.removed_at ? undefined : d.status)} />;
}
