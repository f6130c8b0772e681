#!/bin/sh
# States every certificate (*.pem, *.crt) in a folder as a part of the server:
# who it is (serial), whom it is for, when it ends. Needs openssl.
#
#   command: [/usr/local/lib/nocturne/check_certificates.sh, /etc/ssl/ours]
#   format: nocturne
#   period: 1h
set -u
folder=${1:?folder with certificates}
warn_days=${2:-30}

[ -d "$folder" ] || { echo "no folder $folder" >&2; exit 3; }
now=$(date +%s)

# json TEXT: as a JSON string; control characters become spaces.
json() { printf '"%s"' "$(printf '%s' "$1" | tr '\000-\037' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g')"; }

state=ok total=0 soonest='' devices=''
for file in "$folder"/*.pem "$folder"/*.crt; do
	[ -f "$file" ] || continue
	total=$((total + 1))
	name=$(basename "$file")
	if ! facts=$(openssl x509 -in "$file" -noout -serial -subject -enddate -nameopt RFC2253 2>/dev/null); then
		state=critical
		devices="$devices,{\"type\":\"certificate\",\"place\":$(json "$name"),\"fields\":{\"state\":\"unreadable\"}}"
		continue
	fi
	serial=$(printf '%s\n' "$facts" | sed -n 's/^serial=//p')
	subject=$(printf '%s\n' "$facts" | sed -n 's/^subject=//p')
	end=$(printf '%s\n' "$facts" | sed -n 's/^notAfter=//p')
	left=$(($(date -d "$end" +%s) - now))
	days=$((left / 86400))
	if [ "$left" -lt 0 ]; then
		days=$(((left - 86399) / 86400))
		how=ended state=critical
	elif [ "$days" -lt "$warn_days" ]; then
		how=ending
		[ "$state" = critical ] || state=warning
	else
		how=valid
	fi
	if [ -z "$soonest" ] || [ "$days" -lt "$soonest" ]; then soonest=$days; fi
	devices="$devices,{\"type\":\"certificate\",\"place\":$(json "$name"),\"serial\":$(json "$serial"),\"fields\":{\"state\":\"$how\",\"subject\":$(json "$subject"),\"not_after\":$(json "$end"),\"remaining_days\":$days}}"
done

values=''
[ -z "$soonest" ] || values="{\"name\":\"soonest\",\"value\":$soonest,\"unit\":\"d\",\"warning\":\"$warn_days:\",\"critical\":\"0:\"}"
# The section says that these are all, also when there are none.
printf '{"nocturne":1,"state":"%s","text":"%s certificates, the soonest ends in %s days","values":[%s],"snapshot":{"sections":[{"type":"certificate"}],"devices":[%s]}}\n' \
	"$state" "$total" "${soonest:-?}" "$values" "${devices#,}"
