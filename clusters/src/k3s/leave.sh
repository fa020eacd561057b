# Ends what is in the network namespace $1 and removes it, its link, its rules, its cgroup; then the files below $2.
# What is gone already is fine.
name=$1 home=$2
if [ -e "/run/netns/$name" ]; then
    pids=$(ip netns pids "$name")
    [ -z "$pids" ] || kill -9 $pids || true
    ip netns delete "$name"
fi
if [ -e "/sys/class/net/$name" ]; then ip link delete "$name" || true; fi
nft delete table ip "$name" 2>/dev/null || true
if [ -d "/sys/fs/cgroup/$name" ]; then
    find "/sys/fs/cgroup/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
fi
rm -rf "$home/k3s" "$home/layers"
