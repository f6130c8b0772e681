package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"nocturne/internal/record"
)

// kind is a Windows event of the catalogue: what a healthy server writes all
// day. Texts are the events' own, shortened; {0} and {1} stand for its data.
type kind struct {
	weight   int
	channel  string
	provider string
	id       int
	level    string
	text     string
	names    []string // of the data fields
	values   [][]string
}

// Levels as exporter/source/winlog writes them.
const (
	levelError   = "error"
	levelWarning = "warning"
	levelInfo    = "info"
	auditSuccess = "audit_success"
	auditFailure = "audit_failure"
)

const (
	providerSCM      = "Service Control Manager"
	providerUpdate   = "Microsoft-Windows-WindowsUpdateClient"
	providerKernel   = "Microsoft-Windows-Kernel-General"
	providerSecurity = "Microsoft-Windows-Security-Auditing"
	providerMegaRAID = "MR_MONITOR"
	channelSystem    = "System"
	channelApp       = "Application"
	channelSecurity  = "Security"
)

// catalogue holds no event that a rule of alerts/records matches or counts:
// noise alerts nobody, however fast it is made.
var catalogue = []kind{
	{30, channelSecurity, providerSecurity, 4624, auditSuccess, "An account was successfully logged on.\r\n\r\nLogon Type: {1}\r\nAccount Name: {0}",
		[]string{"TargetUserName", "LogonType"}, [][]string{{"svc_backup", "svc_sql", "a.keller", "m.nowak", "SYSTEM"}, {"3", "5", "10"}}},
	{20, channelSecurity, providerSecurity, 4634, auditSuccess, "An account was logged off.\r\n\r\nAccount Name: {0}", []string{"TargetUserName"}, [][]string{{"svc_backup", "a.keller", "m.nowak"}}},
	{2, channelSecurity, providerSecurity, 4625, auditFailure, "An account failed to log on.\r\n\r\nAccount Name: {0}\r\nFailure Reason: Unknown user name or bad password.",
		[]string{"TargetUserName"}, [][]string{{"administrator", "svc_old", "a.keler"}}},
	{8, channelSecurity, providerSecurity, 4672, auditSuccess, "Special privileges assigned to new logon.\r\n\r\nAccount Name: {0}", []string{"SubjectUserName"}, [][]string{{"SYSTEM", "svc_backup"}}},
	{12, channelSystem, providerSCM, 7036, levelInfo, "The {0} service entered the {1} state.",
		[]string{"param1", "param2"}, [][]string{{"WinHTTP Web Proxy Auto-Discovery Service", "Software Protection", "Windows Update", "Application Experience", "WMI Performance Adapter"}, {"running", "stopped"}}},
	{2, channelSystem, providerSCM, 7040, levelInfo, "The start type of the {0} service was changed from demand start to auto start.", []string{"param1"}, [][]string{{"Background Intelligent Transfer Service", "Windows Modules Installer"}}},
	{3, channelSystem, "Microsoft-Windows-Time-Service", 37, levelInfo, "The time provider NtpClient is currently receiving valid time data from {0}.", []string{"TimeSource"}, [][]string{{"sim-ber-dc01 (ntp.d)", "sim-kra-dc07 (ntp.d)"}}},
	{2, channelSystem, "Microsoft-Windows-DNS-Client", 1014, levelWarning, "Name resolution for the name {0} timed out after none of the configured DNS servers responded.", []string{"QueryName"}, [][]string{{"wpad.example.net", "ctldl.windowsupdate.com"}}},
	{3, channelSystem, "Microsoft-Windows-DistributedCOM", 10016, levelWarning, "The application-specific permission settings do not grant Local Activation permission for the COM Server application with CLSID {0}.",
		[]string{"param1"}, [][]string{{"{2593F8B9-4EAF-457C-B68A-50F6B8EA6B54}", "{15C20B67-12E7-4BB6-92BB-7AFF07997402}"}}},
	{3, channelSystem, "Microsoft-Windows-GroupPolicy", 1502, levelInfo, "The Group Policy settings for the computer were processed successfully. New settings from {0} Group Policy objects were detected and applied.", []string{"NumberOfGroupPolicyObjects"}, [][]string{{"3", "5", "7"}}},
	{1, channelSystem, providerKernel, 16, levelInfo, "The access history in hive {0} was cleared updating 187 keys and creating 23 modified pages.", []string{"HiveName"}, [][]string{{`\??\C:\Windows\AppCompat\Programs\Amcache.hve`}}},
	{3, channelApp, "ESENT", 326, levelInfo, "svchost (4120,D,50) DS_Token_DB: The database engine attached a database ({0}). (Time=0 seconds)", []string{"param1"}, [][]string{{`C:\Windows\system32\config\systemprofile\AppData\Local\DataStore\store.edb`}}},
	{3, channelApp, "MSSQLSERVER", 18265, levelInfo, "Log was backed up. Database: {0}, creation date(time): 2024/02/11(09:14:27).", []string{"param1"}, [][]string{{"ERP", "CRM", "master"}}},
	{2, channelApp, "VSS", 8224, levelInfo, "The VSS service is shutting down due to idle timeout.", nil, nil},
	{2, channelApp, "Microsoft-Windows-Security-SPP", 16384, levelInfo, "Successfully scheduled Software Protection service for re-start at {0}. Reason: RulesEngine.", []string{"param1"}, [][]string{{"2124-10-28T07:41:22Z"}}},
	{2, channelApp, "Microsoft-Windows-Perflib", 1008, levelError, "The Open procedure for service {0} in DLL \"C:\\Windows\\System32\\bitsperf.dll\" failed with error code 8.", []string{"Service"}, [][]string{{"BITS", "Lsa"}}},
	{1, channelApp, "Microsoft-Windows-User Profiles Service", 1530, levelWarning, "Windows detected your registry file is still in use by other applications or services. The file will be unloaded now. DETAIL - 1 user registry handles leaked from {0}.",
		[]string{"Detail"}, [][]string{{`\Registry\User\S-1-5-21-1004336348-1177238915-682003330-512`}}},
	{2, "Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender", 2000, levelInfo, "Microsoft Defender Antivirus security intelligence version updated. Current: {0}", []string{"Current security intelligence Version"}, [][]string{{"1.421.233.0", "1.421.310.0", "1.421.402.0"}}},
	{2, "Microsoft-Windows-TaskScheduler/Operational", "Microsoft-Windows-TaskScheduler", 201, levelInfo, "Task Scheduler successfully completed task \"{0}\".", []string{"TaskName"}, [][]string{{`\Microsoft\Windows\Defrag\ScheduledDefrag`, `\Backup\Nightly`}}},
}

// event is a Windows event to be written.
type event struct {
	channel, provider string
	id                int
	level, text       string
	data              []string // name, value, name, value
}

// noise draws an event from the catalogue.
func noise(r *rand.Rand) event {
	sum := 0
	for i := range catalogue {
		sum += catalogue[i].weight
	}
	n := r.IntN(sum)
	for i := range catalogue {
		k := &catalogue[i]
		if n -= k.weight; n >= 0 {
			continue
		}
		e := event{channel: k.channel, provider: k.provider, id: k.id, level: k.level, text: k.text}
		for j, name := range k.names {
			v := k.values[j][r.IntN(len(k.values[j]))]
			e.text = strings.ReplaceAll(e.text, fmt.Sprintf("{%d}", j), v)
			e.data = append(e.data, name, v)
		}
		return e
	}
	return event{}
}

// record makes the record that exporter/source/winlog would make of an event.
func (e event) record(computer string, number uint64, at time.Time) record.Record {
	severity := map[string]record.Severity{levelError: record.Error, levelWarning: record.Warn, auditFailure: record.Warn}[e.level]
	if severity == 0 {
		severity = record.Info
	}
	attrs := []record.Attr{
		{Key: record.AttrChannel, Value: record.String(e.channel)},
		{Key: record.AttrProvider, Value: record.String(e.provider)},
		{Key: record.AttrEventID, Value: record.Int(int64(e.id))},
		{Key: record.AttrLevel, Value: record.String(e.level)},
		{Key: record.AttrRecordID, Value: record.Int(int64(number))},
		{Key: record.AttrComputer, Value: record.String(computer)},
	}
	for i := 0; i+1 < len(e.data); i += 2 {
		attrs = append(attrs, record.Attr{Key: record.AttrData + e.data[i], Value: record.String(e.data[i+1])})
	}
	return record.Record{Time: at, Observed: at, Severity: severity, Name: record.NameWindowsEvent, Body: e.text, Attrs: attrs}
}
