# Ends what is in the network namespace that $2/netns names and removes it, its link $1, its rules, its cgroup; then the
# files below $2. What is gone already is fine.
name=$1 home=$2
if mountpoint -q "$home/netns"; then
    namespace="net:[$(stat -L -c %i "$home/netns")]"
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/ns/net" 2>/dev/null)" != "$namespace" ] || kill -9 "${process#/proc/}" || true
    done
    umount "$home/netns"
fi
rm -f "$home/netns"
if [ -e "/sys/class/net/$name" ]; then ip link delete "$name" || true; fi
nft delete table ip "$name" 2>/dev/null || true
if [ -d "/sys/fs/cgroup/$name" ]; then
    find "/sys/fs/cgroup/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
fi
rm -rf "$home/k3s" "$home/layers"
