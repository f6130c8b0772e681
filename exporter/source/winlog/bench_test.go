package winlog

import (
	"testing"
	"time"
)

// security is an event of our own making, in the shape and size of a logon.
const security = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-a5ba-3e3b0328c30d}'/><EventID>4624</EventID><Version>2</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2026-01-02T03:04:05.1234567Z'/><EventRecordID>90211</EventRecordID><Correlation ActivityID='{00000000-0000-0000-0000-000000000001}'/><Execution ProcessID='640' ThreadID='700'/><Channel>Security</Channel><Computer>db7.example.org</Computer><Security/></System><EventData><Data Name='SubjectUserSid'>S-1-5-18</Data><Data Name='SubjectUserName'>DB7$</Data><Data Name='SubjectDomainName'>EXAMPLE</Data><Data Name='SubjectLogonId'>0x3e7</Data><Data Name='TargetUserSid'>S-1-5-21-1-2-3-1001</Data><Data Name='TargetUserName'>backup</Data><Data Name='TargetDomainName'>EXAMPLE</Data><Data Name='TargetLogonId'>0x1a2b3c</Data><Data Name='LogonType'>5</Data><Data Name='LogonProcessName'>Advapi  </Data><Data Name='AuthenticationPackageName'>Negotiate</Data><Data Name='WorkstationName'>-</Data><Data Name='LogonGuid'>{00000000-0000-0000-0000-000000000000}</Data><Data Name='ProcessId'>0x280</Data><Data Name='ProcessName'>C:\Windows\System32\services.exe</Data><Data Name='IpAddress'>-</Data><Data Name='IpPort'>-</Data></EventData></Event>`

func BenchmarkDecode(b *testing.B) {
	for name, text := range map[string]string{"disk": xmlOf(7), "logon": security} {
		b.Run(name, func(b *testing.B) {
			e := Event{XML: text, Message: "The device, \\Device\\Harddisk1\\DR1, has a bad block."}
			now := time.Now()
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Decode(e, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
