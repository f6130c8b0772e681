# States every certificate of the machine's own store as a part of the server:
# who it is (serial), whom it is for, when it ends.
#
#   command: ['C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', -NoProfile, -NonInteractive, -ExecutionPolicy, AllSigned, -File, 'C:\Program Files\Nocturne\checks\check_certificates.ps1']
#   format: nocturne
#   period: 1h
param([int]$WarnDays = 30)
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false

try {
    $state = 'ok'
    $soonest = $null
    $devices = @()
    foreach ($c in Get-ChildItem -Path Cert:\LocalMachine\My) {
        $days = [int][Math]::Floor(($c.NotAfter.ToUniversalTime() - [DateTime]::UtcNow).TotalDays)
        if ($days -lt 0) { $how = 'ended'; $state = 'critical' }
        elseif ($days -lt $WarnDays) { $how = 'ending'; if ($state -eq 'ok') { $state = 'warning' } }
        else { $how = 'valid' }
        if ($null -eq $soonest -or $days -lt $soonest) { $soonest = $days }
        $devices += @{
            type = 'certificate'; place = "my/$($c.Thumbprint)"; serial = $c.SerialNumber
            fields = @{ state = $how; subject = $c.Subject; issuer = $c.Issuer; not_after = $c.NotAfter.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ'); remaining_days = $days }
        }
    }
    $values = @()
    $text = "$($devices.Count) certificates"
    if ($null -ne $soonest) {
        $values += @{ name = 'soonest'; value = $soonest; unit = 'd'; warning = "${WarnDays}:"; critical = '0:' }
        $text += ", the soonest ends in $soonest days"
    }
    # The section says that these are all, also when there are none.
    @{ nocturne = 1; state = $state; text = $text; values = @($values)
       snapshot = @{ sections = @(@{ type = 'certificate' }); devices = @($devices) } } | ConvertTo-Json -Depth 6 -Compress
} catch {
    [Console]::Error.WriteLine($_.Exception.Message)
    exit 3
}
