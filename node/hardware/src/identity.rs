//! Which machine this is: host name, UUID, maker and model; from DMI, the device tree or the machine id.
//!
//! Know before changing: the UUID must stay the same over restarts and updates, or a machine becomes another one. So the order of
//! the sources and the derivation are for ever.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Root;

/// What a UUID was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UuidSource {
    /// The firmware's own UUID (SMBIOS), as it is.
    Dmi,
    /// Derived from the board's serial number in the device tree.
    DeviceTree,
    /// Derived from `/etc/machine-id`: it goes with the installation, not with the machine.
    MachineId,
}

/// Which machine this is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The host name.
    pub host_name: Option<String>,
    /// See [`crate::DeviceStatus::uuid`].
    pub uuid: Option<String>,
    /// Where it comes from.
    pub uuid_source: Option<UuidSource>,
    /// Who made the machine.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
}

/// UUIDs that makers forget to change, so that many machines have them.
const SHARED: &[&str] = &[
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
];

/// What makers leave in DMI where a name belongs.
const PLACEHOLDERS: &[&str] = &[
    "default string",
    "empty",
    "n/a",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "o.e.m.",
    "oem",
    "system manufacturer",
    "system product name",
    "to be filled by o.e.m.",
    "unknown",
];

/// A UUID in lower case; none when it is not one, or one that does not tell machines apart.
fn uuid(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
    let one_digit = digits.windows(2).all(|pair| pair[0] == pair[1]);
    let good =
        parts == [8, 4, 4, 4, 12] && hexadecimal && !one_digit && !SHARED.contains(&text.as_str());
    good.then_some(text)
}

/// A UUID of version 8 (RFC 9562, section 5.8) by hash from what identifies a machine. The machine id is a secret by
/// machine-id(5), so only a hash of it may be shown.
fn derived(source: &str, value: &str) -> String {
    let hash = Sha256::digest(format!("minicloud.io/v1 Device {source} {value}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

/// The best UUID that the three sources give.
fn choose(
    dmi: Option<&str>,
    serial: Option<&str>,
    machine_id: Option<&str>,
) -> Option<(String, UuidSource)> {
    if let Some(uuid) = dmi.and_then(uuid) {
        return Some((uuid, UuidSource::Dmi));
    }
    // A board without a serial number has zeros there.
    if let Some(serial) =
        serial.filter(|s| s.bytes().any(|b| b.is_ascii_alphanumeric() && b != b'0'))
    {
        return Some((derived("device-tree", serial), UuidSource::DeviceTree));
    }
    // `uninitialized` is there while an image boots for the first time.
    let id = machine_id.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((derived("machine-id", id), UuidSource::MachineId))
}

/// A name that means something.
fn named(text: Option<String>) -> Option<String> {
    text.filter(|text| !PLACEHOLDERS.contains(&text.to_ascii_lowercase().as_str()))
}

pub(crate) fn read(root: &Root) -> Identity {
    let dmi = |name: &str| root.value(&format!("/sys/class/dmi/id/{name}"));
    let chosen = choose(
        dmi("product_uuid").as_deref(),
        root.value("/proc/device-tree/serial-number").as_deref(),
        root.value("/etc/machine-id").as_deref(),
    );
    let (uuid, uuid_source) = chosen.unzip();
    Identity {
        host_name: root
            .value("/proc/sys/kernel/hostname")
            .or_else(|| root.value("/etc/hostname")),
        uuid,
        uuid_source,
        vendor: named(dmi("sys_vendor")).or_else(|| named(dmi("board_vendor"))),
        model: named(dmi("product_name"))
            .or_else(|| named(dmi("board_name")))
            .or_else(|| root.value("/proc/device-tree/model")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DMI: &str = "4C4C4544-0042-3510-8052-B4C04F4D3532";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_best_source_wins() {
        let check = |dmi, serial, id, expect: Option<(&str, UuidSource)>| {
            let got = choose(dmi, serial, id);
            assert_eq!(
                got.as_ref().map(|(uuid, source)| (uuid.as_str(), *source)),
                expect
            );
        };
        let lower = DMI.to_lowercase();
        // These two are for ever.
        let serial = (
            "dd315589-73ab-8ce3-b5d7-5fde2408f425",
            UuidSource::DeviceTree,
        );
        let machine = (
            "16a1929a-ad7e-8330-8125-464963970101",
            UuidSource::MachineId,
        );
        check(
            Some(DMI),
            Some("1000"),
            Some(ID),
            Some((&lower, UuidSource::Dmi)),
        );
        check(None, Some("10000000a1b2c3d4"), Some(ID), Some(serial));
        check(
            Some("00000000-0000-0000-0000-000000000000"),
            None,
            Some(ID),
            Some(machine),
        );
        check(
            Some(SHARED[0]),
            Some("0000000000000000"),
            Some(ID),
            Some(machine),
        );
        check(Some("Not Settable"), None, Some("uninitialized"), None);
        check(None, None, None, None);
    }

    #[test]
    fn derived_uuids_are_of_version_8() {
        let uuid = derived("machine-id", ID);
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
        assert!(super::uuid(&uuid).is_some() && !uuid.contains(&ID[..8]));
        assert_ne!(uuid, derived("device-tree", ID));
    }

    #[test]
    fn placeholders_are_no_names() {
        assert_eq!(named(Some("To Be Filled By O.E.M.".into())), None);
        assert_eq!(named(Some("20HF".into())).as_deref(), Some("20HF"));
    }
}
