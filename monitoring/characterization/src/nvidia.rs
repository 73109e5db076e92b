//! What NVIDIA's own library says of its GPUs, where it is installed.

use std::path::Path;

use minicloud_hardware::gpu::GpuDetail;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// There while the driver is loaded. Without it the library would only look for one, each time.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// One for each GPU that the library knows; nothing where there is no driver or no library.
pub(crate) fn gpus() -> Vec<GpuDetail> {
    if !Path::new(DRIVER).exists() {
        return Vec::new();
    }
    read().unwrap_or_else(|error| {
        tracing::debug!(%error, "NVIDIA's library does not tell of its GPUs");
        Vec::new()
    })
}

fn read() -> Result<Vec<GpuDetail>, NvmlError> {
    let library = Nvml::init()?;
    let mut found = Vec::new();
    for index in 0..library.device_count()? {
        let device = library.device_by_index(index)?;
        found.push(GpuDetail {
            pci_address: address(&device.pci_info()?.bus_id),
            name: device.name().ok(),
            video_memory_bytes: device.memory_info().ok().map(|memory| memory.total),
        });
    }
    Ok(found)
}

/// As sysfs writes it: a domain of four digits, in lower case. NVML has eight digits and upper case.
fn address(bus_id: &str) -> String {
    let address = bus_id.to_ascii_lowercase();
    let domain = address.find(':').unwrap_or(0);
    let extra = domain.saturating_sub(4);
    match address.get(..extra) {
        Some(zeros) if zeros.bytes().all(|b| b == b'0') => address[extra..].to_owned(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_sysfs() {
        let check = |bus_id, expected| assert_eq!(address(bus_id), expected);
        check("00000000:01:00.0", "0000:01:00.0");
        check("00000000:3B:00.0", "0000:3b:00.0");
        check("0000:01:00.0", "0000:01:00.0");
        check("00010000:01:00.0", "00010000:01:00.0");
        check("", "");
    }
}
