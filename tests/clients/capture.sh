#!/bin/sh
# An independent witness: what went over the loopback, as Wireshark's SMPP dissector reads it.
#
#   capture.sh record FILE PORT...   writes the traffic of these TCP ports into FILE (pcapng) until SIGINT or SIGTERM.
#                                    The capture runs once a line with "File:" has come on stderr.
#   capture.sh await FILE TEXT       returns once a packet with this text is in the file: what came before it is there too. The
#                                    kernel hands packets over in batches, and those it still has at the signal are lost.
#   capture.sh check FILE PORT...    prints the number of PDUs of each command on stdout, then on stderr every PDU that the
#                                    dissector finds malformed or marks with an error; exit code 1 when there is one, when
#                                    there is no PDU at all, or when payload on these ports was not read as SMPP.
#
# Recording needs the right to capture (root, or the group wireshark with dumpcap's capabilities).
set -eu

[ $# -ge 3 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
action=$1 file=$2
shift 2

record() {
    filter=
    for port; do filter="${filter:+$filter or }tcp port $port"; done
    # Immediately written and with room for a burst: a lost packet would look like a broken PDU.
    exec dumpcap -q -i lo -B 64 -f "$filter" -w "$file"
}

await() {
    tail -c +1 -f "$file" | grep -a -q -F "$1"
}

check() {
    decode= ports=
    for port; do
        decode="$decode -d tcp.port==$port,smpp"
        ports="${ports:+$ports or }tcp.port == $port"
    done
    # shellcheck disable=SC2086 # several options in one variable
    read_as() { tshark -n -r "$file" $decode -o tcp.desegment_tcp_streams:TRUE "$@" 2>/dev/null; }

    read_as -Y smpp -T fields -E aggregator=, -e smpp.command_id | tr ',' '\n' | sed '/^$/d' | sort | uniq -c
    [ -n "$(read_as -Y smpp -T fields -e frame.number)" ] || { echo "no SMPP in $file" >&2; exit 1; }

    faults=$(read_as -Y "smpp and (_ws.malformed or _ws.expert.severity == error)" \
        -T fields -e frame.number -e tcp.srcport -e tcp.dstport -e smpp.command_id -e _ws.expert.message)
    foreign=$(read_as -Y "($ports) and data.data" -T fields -e frame.number -e tcp.srcport -e tcp.dstport)
    if [ -n "$faults$foreign" ]; then
        printf '%s\n' "malformed (frame, from, to, commands, complaints):" "$faults" "not SMPP (frame, from, to):" "$foreign" >&2
        exit 1
    fi
}

case $action in
    record) record "$@" ;;
    await) await "$@" ;;
    check) check "$@" ;;
    *) echo "capture.sh: record, await or check" >&2; exit 2 ;;
esac
