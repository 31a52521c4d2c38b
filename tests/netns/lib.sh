# Hosts on one switch, made of network namespaces, and what checks are made of.
#
# Sourced by `run`. Everything lives in namespaces named after a folder of its own, so runs do not meet.

net=10.77.0
broker_ip=$net.2
bridge_ip=$net.3

passed=0
failed=0
declare -A pids=()

# ---- checks

check() { # TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok - $text"
    else
        failed=$((failed + 1))
        echo "not ok - $text ($*)"
    fi
}

# Asks again and again until the answer is yes or the time is over.
within() { # SECONDS COMMAND...
    local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@"; do
        ((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
        sleep 0.05
    done
}

not() { ! "$@"; }

all() { # COMMAND... -- ARGUMENT...: the command holds for each argument
    local command=()
    while [[ $1 != -- ]]; do
        command+=("$1")
        shift
    done
    shift
    local argument
    for argument; do "${command[@]}" "$argument" || return 1; done
}

# ---- the lab

require() {
    local missing=()
    [[ $(id -u) == 0 ]] || fatal "needs root, for network namespaces"
    command -v ip >/dev/null || missing+=(iproute2)
    command -v mosquitto mosquitto_passwd >/dev/null || missing+=(mosquitto)
    command -v mosquitto_sub mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
    command -v openssl >/dev/null || missing+=(openssl)
    ((${#missing[@]} == 0)) || fatal "missing; apt-get install ${missing[*]}"
}

fatal() {
    echo "not ok - $*" >&2
    exit 1
}

open_lab() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/plug2mqtt-netns.XXXXXXXX")
    lab=${work##*/}
    trap close_lab EXIT
    trap 'exit 130' INT TERM
    ip netns add "$lab-switch" || fatal "this machine does not allow network namespaces"
    ip -n "$lab-switch" link add name switch type bridge || fatal "this machine has no bridge devices"
    ip -n "$lab-switch" link set switch up
    touch "$work/heard"
    mark=0
}

close_lab() {
    local status=$? name
    trap - EXIT
    if ((failed > 0 || (status > 1 && status != 130))); then show_logs; fi
    for name in "${!pids[@]}"; do stop "$name" KILL; done
    ip netns list | cut -d ' ' -f 1 | grep "^$lab-" | xargs -r -n 1 ip netns delete
    umount "$work"/*.state 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}

show_logs() {
    local log
    for log in "$work"/*.log; do
        echo "---- ${log##*/}"
        tail -n 40 "$log"
    done
}

# A host with one cable to the switch.
host() { # NAME ADDRESS
    ip netns add "$lab-$1"
    ip -n "$lab-$1" link set lo up
    ip -n "$lab-$1" link add name eth0 type veth peer name "$1" netns "$lab-switch"
    ip -n "$lab-switch" link set "$1" master switch
    ip -n "$lab-$1" link set eth0 up
    address "$1" "$2"
    cable "$1" up
}

on() { # HOST COMMAND...
    ip netns exec "$lab-$1" "${@:2}"
}

cable() { # HOST up|down
    ip -n "$lab-switch" link set "$1" "$2"
}

# Gives a host another address, as a DHCP server does.
address() { # HOST ADDRESS
    ip -n "$lab-$1" address flush dev eth0
    ip -n "$lab-$1" address add "$2/24" broadcast + dev eth0
}

# Starts a program on a host. Its output goes to NAME.log.
start() { # NAME HOST COMMAND...
    local name=$1 host=$2
    shift 2
    : >>"$work/$name.log"
    ip netns exec "$lab-$host" env -i PATH="$PATH" "$@" >>"$work/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
}

stop() { # NAME [SIGNAL]
    kill -s "${2:-TERM}" "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

logged() { # NAME PATTERN [TIMES]
    (($(grep -cE -- "$2" "$work/$1.log") >= ${3:-1}))
}

listening() { # HOST PORT
    on "$1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$2" 2>/dev/null
}

# ---- MQTT, always on the broker's own host, so that cut cables do not matter

start_broker() { # NAME PORT; its settings are NAME.conf
    start "$1" broker mosquitto -c "$work/$1.conf"
    within 10 listening broker "$2" || fatal "$1 does not start: $(cat "$work/$1.log")"
}

# Notes everything that is published.
start_listener() { # PORT
    mqtt_port=$1
    ip netns exec "$lab-broker" mosquitto_sub -p "$mqtt_port" -t '#' -F '%t %p' >>"$work/heard" 2>/dev/null &
    pids[listener]=$!
    within 10 listener_hears || fatal "mosquitto_sub hears nothing"
}

listener_hears() {
    publish lab/hello again && heard lab/hello again
}

publish() { # TOPIC PAYLOAD
    on broker mosquitto_pub -p "$mqtt_port" -q 1 -t "$1" -m "$2"
}

# Only what is heard from now on counts.
forget() {
    mark=$(stat -c %s "$work/heard")
}

heard_since() {
    tail -c "+$((mark + 1))" "$work/heard"
}

heard() { # TOPIC WORD...: a message on this topic with all these words in it
    local topic=$1 lines word
    shift
    lines=$(heard_since | grep -F -- "$topic ") || return 1
    for word; do lines=$(grep -F -- "$word" <<<"$lines") || return 1; done
}

retained() { # TOPIC
    on broker mosquitto_sub -p "$mqtt_port" -t "$1" --retained-only -C 1 -W 1 2>/dev/null || true
}

retained_is() { # TOPIC PAYLOAD
    [[ $(retained "$1") == "$2" ]]
}

retained_has() { # TOPIC WORD
    [[ $(retained "$1") == *"$2"* ]]
}

retained_topics() {
    on broker mosquitto_sub -p "$mqtt_port" -t '#' --retained-only -W 1 -F %t 2>/dev/null | sort || true
}

# ---- certificates

certificate_authority() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$work/$1.key" -out "$work/$1.crt" 2>/dev/null
}

certificate() { # NAME EXTENSION, signed by the authority named ca
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    openssl x509 -req -in "$work/$1.csr" -days 2 -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial \
        -extfile <(echo "$2") -out "$work/$1.crt" 2>/dev/null
}
