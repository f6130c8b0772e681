package source

import "strings"

// Serial returns a serial number without the spaces around it, or "" when it
// is one of the many ways in which firmware says that it has none. An unknown
// serial equals nothing, so one placeholder too few makes a replaced part of a
// part that stayed; the list is from real machines.
func Serial(s string) string {
	s = strings.TrimSpace(strings.Trim(s, "\x00"))
	low := strings.ToLower(s)
	if placeholders[low] || repeated(low) || strings.HasPrefix(low, "to be filled") {
		return ""
	}
	// Empty slots of American Megatrends boards: "SerNum3", "A1_SerNum0",
	// "AssetTagNum1", "Array1_PartNumber0".
	if strings.Contains(low, "sernum") || strings.HasPrefix(low, "assettag") || strings.Contains(low, "_partnumber") || strings.Contains(low, "_assettag") {
		return ""
	}
	return s
}

var placeholders = set(
	"", "not specified", "not available", "not applicable", "not provided", "not present", "not set", "not defined", "n/a", "na", "nil", "none", "null", "no",
	"unknown", "undefined", "unspecified", "default", "default string", "invalid", "empty", "[empty]", "o.e.m.", "oem", "filled by oem", "string", "tbd", "test",
	"system serial number", "base board serial number", "baseboard serial number", "board serial number", "mb serial number", "chassis serial number", "serial number", "serial no", "serialnumber", "serial",
	"system product name", "system manufacturer", "system version", "sn", "s/n", "asset tag", "no asset tag", "no asset information", "no dimm", "no module installed", "module not installed", "dimm not installed",
	"123456789", "0123456789", "1234567890", "012345678", "01234567", "12345678", "1234567", "123456", "12345", "123456789abc", "0123456789abcdef",
	"<out of spec>", "<bad index>", "bad index",
)

// UUID returns an SMBIOS UUID in lower case, or "" for one that several
// machines share.
func UUID(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 32 || repeated(digits) || strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	switch s {
	case "03000200-0400-0500-0006-000700080009", // the default of American Megatrends
		"00020003-0004-0005-0006-000700080009", // the same in the other byte order
		"12345678-1234-5678-90ab-cddeefaabbcc", "01234567-8910-1112-1314-151617181920":
		return ""
	}
	return s
}

// repeated tells whether s is one character again and again: "00000000".
func repeated(s string) bool {
	return s != "" && strings.Trim(s, s[:1]) == "" && (len(s) >= 4 || strings.ContainsAny(s, "0xf.-_*#? "))
}

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}
