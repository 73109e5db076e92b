#!/bin/sh
# The guest's first process. It mounts what systemd would, starts the server on the data disk, and tells the outside about it
# on the second serial port, since one of the boots has no network.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount() { busybox mount "$@"; }
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for dir in /run /tmp /var/tmp /var/log; do mount -t tmpfs tmpfs "$dir"; done
mount --make-rshared /
hostname edge-1
ip link set lo up
tell() { echo "$*" >/dev/ttyS1; }

fail() {
	tell "FAILED $*"
	while :; do sleep 60; done
}

# What udev would do for the network card, if there is one.
modprobe virtio_net
if [ -e /sys/class/net/eth0 ]; then
	ip address add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	ip route add default via 10.0.2.2
fi

# All that Debian, CNI and the server keep.
data=/var/lib/minicloud
mkdir -p /run/soak
mount -t ext4 /dev/vdb /var/lib || fail "the data disk cannot be mounted"
mkdir -p $data
tell "MOUNTED"

(
	/mnt/minicloud server --node-name edge-1 --resolv-conf /run/resolv.conf 2>&1
	tell "FAILED the server ended ($?)"
) >/dev/console &

# The first boot: an image for the pods. Once the import says so it must be there for good.
(
	until [ -e $data/imported ]; do
		if /mnt/minicloud image import /mnt/busybox.tar >/run/import.log 2>&1; then
			touch $data/imported
			sync $data/imported
		else
			sleep 1
		fi
	done
	tell "IMPORTED"
) &

credentials=
while :; do
	if [ -z "$credentials" ] && [ -s $data/admin.kubeconfig ]; then
		credentials=told
		while IFS= read -r line; do tell "KUBECONFIG $line"; done <$data/admin.kubeconfig
	fi
	# What pods wrote since the last look.
	for file in /run/soak/*; do
		[ -f "$file" ] || continue
		tell "POD ${file##*/} $(cat "$file")"
		rm "$file"
	done
	addresses=$(find $data/cni/addresses -type f -name '10.*' 2>/dev/null | wc -l)
	sandboxes=$(find /sys/fs/cgroup/minicloud* -name cgroup.procs 2>/dev/null | wc -l)
	now="addresses=$addresses cgroups=$sandboxes"
	[ "$now" = "$before" ] || tell "STATE $now"
	before=$now
	sleep 1
done
