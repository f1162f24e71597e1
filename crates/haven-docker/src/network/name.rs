//! Docker's names for networks and ours: what we call `default` its clients call `bridge`.

/// The engine's name of the default network.
pub(crate) const DEFAULT: &str = "default";
/// What clients call it: they look for this very name.
const DEFAULT_ON_WIRE: &str = "bridge";

/// The engine's name for what a client calls `name`.
pub(crate) fn from_wire(name: &str) -> &str {
    if name == DEFAULT_ON_WIRE { DEFAULT } else { name }
}

/// What clients call the engine's `name`.
pub(crate) fn to_wire(name: &str) -> &str {
    if name == DEFAULT { DEFAULT_ON_WIRE } else { name }
}

/// The driver's name as clients know it: they compare it with what they asked for.
pub(crate) fn driver_to_wire(driver: &str) -> &str {
    if driver == "haven" { "bridge" } else { driver }
}
