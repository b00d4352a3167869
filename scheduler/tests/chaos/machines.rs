//! Machines of their own as far as the network goes, on one switch with this one.

use std::path::Path;
use std::process::Command;

/// The machines. They end with the value.
pub(crate) struct Network {
    name: String,
    subnet: String,
    machines: usize,
}

impl Network {
    /// Only root can make one, and not in every container.
    pub(crate) fn new(machines: usize) -> Result<Self, String> {
        let number = std::process::id() % 16_384;
        let subnet = format!("10.{}.{}", 128 + number / 256, number % 256);
        let network = Self { name: format!("rc{number}"), subnet, machines };
        let Self { name, subnet, .. } = &network;
        run(&format!("ip link add {name} type bridge"))?;
        run(&format!("ip addr add {subnet}.1/24 dev {name}"))?;
        run(&format!("ip link set {name} up"))?;
        for number in 0..machines {
            let machine = format!("{name}-{number}");
            run(&format!("ip netns add {machine}"))?;
            run(&format!("ip link add {name}a{number} type veth peer name {name}b{number} netns {machine}"))?;
            run(&format!("ip link set {name}a{number} master {name} up"))?;
            run(&format!("ip -n {machine} addr add {} dev {name}b{number}", network.address(number) + "/24"))?;
            run(&format!("ip -n {machine} link set {name}b{number} up"))?;
            run(&format!("ip -n {machine} link set lo up"))?;
        }
        Ok(network)
    }

    /// The address of this machine.
    pub(crate) fn host(&self) -> String {
        format!("{}.1", self.subnet)
    }

    /// The address of a machine.
    pub(crate) fn address(&self, number: usize) -> String {
        format!("{}.{}", self.subnet, number + 2)
    }

    /// A program that runs on a machine.
    pub(crate) fn command(&self, number: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-{number}", self.name)]).arg(program);
        command
    }

    /// Cuts the cable of a machine (`down`), or mends it (`up`).
    pub(crate) fn set(&self, number: usize, state: &str) {
        let name = &self.name;
        run(&format!("ip -n {name}-{number} link set {name}b{number} {state}")).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was not made cannot be removed.
        for number in 0..self.machines {
            let _ = run(&format!("ip netns del {}-{number}", self.name));
        }
        let _ = run(&format!("ip link del {}", self.name));
    }
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output =
        Command::new(words.next().unwrap()).args(words).output().map_err(|error| format!("{line}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", text.trim())) }
}
