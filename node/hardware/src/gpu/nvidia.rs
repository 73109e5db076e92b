//! What NVIDIA's own driver says of its GPUs, in `/proc/driver/nvidia/gpus/ADDRESS/information`: the model, but not the memory.

use super::GpuDetail;
use crate::Root;
use crate::root::clean;

/// GPUs that are looked at.
const MOST: usize = 64;

/// The value of a line like `Model:   NVIDIA GeForce GTX 1080`.
fn field(information: &str, name: &str) -> Option<String> {
    let mut lines = information.lines();
    lines.find_map(|line| clean(line.trim_start().strip_prefix(name)?.strip_prefix(':')?))
}

fn parse(address: &str, information: &str) -> GpuDetail {
    let model = field(information, "Model").filter(|model| model != "Unknown");
    GpuDetail {
        pci_address: field(information, "Bus Location").unwrap_or_else(|| address.to_owned()),
        name: model.map(|model| {
            // Newer drivers say the maker, older ones do not.
            if model.starts_with("NVIDIA") {
                model
            } else {
                format!("NVIDIA {model}")
            }
        }),
        video_memory_bytes: None,
    }
}

pub(super) fn read(root: &Root) -> Vec<GpuDetail> {
    const FOLDER: &str = "/proc/driver/nvidia/gpus";
    let addresses = root.names(FOLDER).into_iter().take(MOST);
    addresses
        .filter_map(|address| {
            Some(parse(
                &address,
                &root.text(&format!("{FOLDER}/{address}/information"))?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models() {
        let check = |information: &str, expect: Option<&str>| {
            let detail = parse("0000:01:00.0", information);
            assert_eq!(detail.name.as_deref(), expect);
            assert_eq!(detail.pci_address, "0000:01:00.0");
        };
        check(
            "Model: \t\t GeForce GTX 1080\nIRQ:   \t\t 131\nBus Location: \t 0000:01:00.0\n",
            Some("NVIDIA GeForce GTX 1080"),
        );
        check("Model: NVIDIA L4", Some("NVIDIA L4"));
        check("Model: Unknown", None);
        check("", None);
    }
}
