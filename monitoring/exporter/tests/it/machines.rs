//! Fixture machines: what is measured on hardware that the test host does not have.

use expect_test::expect;

use crate::debian::NodeExporter;
use crate::exposition::differences;
use crate::machine::{LAPTOP, Machine, PC, RASPBERRY_PI_4};
use crate::scrape;

/// Debian's node_exporter, pointed to the same tree, says the same.
fn compare(text: &str) {
    let machine = Machine::new(text);
    let root = machine.root().display();
    let mut arguments = vec![
        format!("--path.procfs={root}/proc"),
        format!("--path.sysfs={root}/sys"),
        format!("--path.rootfs={root}"),
        format!("--path.udev.data={root}/run/udev/data"),
        // By netlink it would ask this machine.
        "--no-collector.netdev.netlink".to_owned(),
        "--collector.disable-defaults".to_owned(),
    ];
    arguments.extend(
        scrape(machine.root())
            .success()
            .keys()
            .map(|collector| format!("--collector.{collector}")),
    );
    let theirs = NodeExporter::start(&arguments);
    let (before, ours, after) = (theirs.scrape(), scrape(machine.root()), theirs.scrape());
    let taken = |name: &str| {
        name.starts_with("node_")
            && name != "node_exporter_build_info"
            && name != "node_scrape_collector_duration_seconds"
    };
    // The file systems are this machine's, which others write to meanwhile.
    let tolerance = |name: &str| match name {
        "node_filesystem_avail_bytes" | "node_filesystem_free_bytes" => 1e9,
        "node_filesystem_files_free" => 1e5,
        _ => 0.0,
    };
    let found = differences(&before, &ours, &after, taken, tolerance);
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(
        ours.families.len() > 50,
        "only {} metrics",
        ours.families.len()
    );
}

#[test]
fn a_raspberry_pi_is_measured_as_by_node_exporter() {
    compare(RASPBERRY_PI_4);
}

#[test]
fn a_laptop_is_measured_as_by_node_exporter() {
    compare(LAPTOP);
}

#[test]
fn a_pc_is_measured_as_by_node_exporter() {
    compare(PC);
}

#[test]
fn a_raspberry_pi() {
    let ours = scrape(Machine::new(RASPBERRY_PI_4).root());
    let excerpt = ours.excerpt(&[
        "node_thermal",
        "node_cooling",
        "node_hwmon",
        "node_cpu_freq",
        "node_disk_written",
        "node_load",
    ]);
    expect![[r#"
        node_cooling_device_cur_state{name="0",type="rpi-poe-fan"} 1
        node_cooling_device_max_state{name="0",type="rpi-poe-fan"} 4
        node_cpu_frequency_hertz{cpu="0"} 1500000000
        node_cpu_frequency_hertz{cpu="1"} 1500000000
        node_cpu_frequency_hertz{cpu="2"} 1500000000
        node_cpu_frequency_hertz{cpu="3"} 1500000000
        node_cpu_frequency_max_hertz{cpu="0"} 1800000000
        node_cpu_frequency_max_hertz{cpu="1"} 1800000000
        node_cpu_frequency_max_hertz{cpu="2"} 1800000000
        node_cpu_frequency_max_hertz{cpu="3"} 1800000000
        node_cpu_frequency_min_hertz{cpu="0"} 600000000
        node_cpu_frequency_min_hertz{cpu="1"} 600000000
        node_cpu_frequency_min_hertz{cpu="2"} 600000000
        node_cpu_frequency_min_hertz{cpu="3"} 600000000
        node_disk_written_bytes_total{device="mmcblk0"} 3492041728
        node_disk_written_bytes_total{device="mmcblk0p1"} 1536
        node_disk_written_bytes_total{device="mmcblk0p2"} 3492040192
        node_hwmon_chip_names{chip="cpu_thermal",chip_name="cpu_thermal"} 1
        node_hwmon_chip_names{chip="soc:firmware_raspberrypi_hwmon",chip_name="rpi_volt"} 1
        node_hwmon_in_lcrit_alarm_volts{chip="soc:firmware_raspberrypi_hwmon",sensor="in0"} 0
        node_hwmon_temp_celsius{chip="cpu_thermal",sensor="temp1"} 48.199
        node_load1{} 0.42
        node_load15{} 0.18
        node_load5{} 0.31
        node_thermal_zone_temp{type="cpu-thermal",zone="0"} 48.199
    "#]]
    .assert_eq(&excerpt);
}

#[test]
fn a_battery() {
    let ours = scrape(Machine::new(LAPTOP).root());
    expect![[r#"
        node_power_supply_capacity{power_supply="BAT0"} 87
        node_power_supply_capacity_alert_max{power_supply="BAT0"} 95
        node_power_supply_capacity_alert_min{power_supply="BAT0"} 5
        node_power_supply_cyclecount{power_supply="BAT0"} 212
        node_power_supply_energy_empty{power_supply="BAT0"} 1
        node_power_supply_energy_empty_design{power_supply="BAT0"} 1.1
        node_power_supply_energy_full{power_supply="BAT0"} 47.52
        node_power_supply_energy_full_design{power_supply="BAT0"} 50.5
        node_power_supply_energy_watthour{power_supply="BAT0"} 41.34
        node_power_supply_online{power_supply="AC"} 0
        node_power_supply_online{power_supply="BAT0"} 1
        node_power_supply_online{power_supply="ucsi-1"} 1
        node_power_supply_temp_celsius{power_supply="BAT0"} 31.2
    "#]]
    .assert_eq(&ours.excerpt(&[
        "node_power_supply_capacity",
        "node_power_supply_energy",
        "node_power_supply_cycle",
        "node_power_supply_temp_c",
        "node_power_supply_online",
    ]));
}

#[test]
fn sensors_of_a_pc() {
    let ours = scrape(Machine::new(PC).root());
    expect![[r#"
        node_hwmon_chip_names{chip="acpi_thermal_zone",chip_name="acpi_thermal_zone"} 1
        node_hwmon_chip_names{chip="pci0000:00_0000:00:18_3",chip_name="k10temp"} 1
        node_hwmon_chip_names{chip="platform_nct6775_656",chip_name="nct6798"} 1
        node_hwmon_energy_joule_total{chip="platform_nct6775_656",sensor="energy1"} 123.456789
        node_hwmon_fan_alarm{chip="platform_nct6775_656",sensor="fan1"} 0
        node_hwmon_fan_fault{chip="platform_nct6775_656",sensor="fan1"} 0
        node_hwmon_fan_min_rpm{chip="platform_nct6775_656",sensor="fan1"} 0
        node_hwmon_fan_pulses{chip="platform_nct6775_656",sensor="fan1"} 2
        node_hwmon_fan_rpm{chip="platform_nct6775_656",sensor="fan1"} 1204
        node_hwmon_fan_target_rpm{chip="platform_nct6775_656",sensor="fan1"} 1200
        node_hwmon_in_volts{chip="hwmon3",sensor="in0"} 12
        node_hwmon_in_volts{chip="platform_nct6775_656",sensor="in0"} 0.872
        node_hwmon_in_volts{chip="platform_nct6775_656",sensor="in1"} 1.008
        node_hwmon_power_average_watt{chip="platform_nct6775_656",sensor="power1"} 65
        node_hwmon_sensor_label{chip="pci0000:00_0000:00:18_3",label="Tctl / \"die\"",sensor="temp1"} 1
        node_hwmon_sensor_label{chip="platform_nct6775_656",label="SYSTIN",sensor="temp1"} 1
        node_hwmon_temp_celsius{chip="acpi_thermal_zone",sensor="temp1"} 27.8
        node_hwmon_temp_celsius{chip="pci0000:00_0000:00:18_3",sensor="temp1"} 55.125
        node_hwmon_temp_celsius{chip="platform_nct6775_656",sensor="temp1"} 34.5
        node_hwmon_temp_celsius{chip="platform_nct6775_656",sensor="temp3"} 21
        node_hwmon_temp_celsius{chip="platform_nct6775_656",sensor="temp4"} 22
        node_hwmon_temp_crit_celsius{chip="acpi_thermal_zone",sensor="temp1"} 119
        node_hwmon_temp_input_celsius{chip="platform_nct6775_656",sensor="temp4"} 23
        node_hwmon_temp_max_celsius{chip="platform_nct6775_656",sensor="temp1"} 80
        node_hwmon_temp_max_hyst_celsius{chip="platform_nct6775_656",sensor="temp1"} 75
        node_hwmon_temp_offset_celsius{chip="platform_nct6775_656",sensor="temp1"} 0
        node_hwmon_temp_type{chip="platform_nct6775_656",sensor="temp1"} 4
    "#]].assert_eq(&ours.excerpt(&[
        "node_hwmon_temp",
        "node_hwmon_fan",
        "node_hwmon_in_volts",
        "node_hwmon_power_average_watt",
        "node_hwmon_energy",
        "node_hwmon_chip",
        "node_hwmon_sensor",
    ]));
}
