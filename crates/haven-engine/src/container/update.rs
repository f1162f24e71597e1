//! New limits laid over old ones: what was not mentioned stays.

use haven_spec::Resources;

/// Takes every member of `wanted` that is not at its default.
pub(crate) fn lay_over(resources: &mut Resources, wanted: &Resources) {
    let default = Resources::default();
    macro_rules! take {
        ($($member:ident),+ $(,)?) => {
            $(if wanted.$member != default.$member {
                resources.$member.clone_from(&wanted.$member);
            })+
        };
    }
    take!(
        memory_bytes,
        memory_swap_bytes,
        memory_reservation_bytes,
        memory_swappiness,
        kernel_memory_tcp_bytes,
        nano_cpus,
        cpu_shares,
        cpu_period_us,
        cpu_quota_us,
        cpu_realtime_period_us,
        cpu_realtime_runtime_us,
        cpuset_cpus,
        cpuset_mems,
        pids_limit,
        blkio_weight,
    );
    // A new limit without a word about swap keeps the old rule: as much swap as memory.
    if wanted.memory_bytes > 0
        && wanted.memory_swap_bytes == 0
        && resources.memory_swap_bytes > 0
        && u64::try_from(resources.memory_swap_bytes).unwrap_or(0) < resources.memory_bytes
    {
        resources.memory_swap_bytes = 0;
    }
    if wanted.nano_cpus > 0 {
        resources.cpu_period_us = 0;
        resources.cpu_quota_us = 0;
    } else if wanted.cpu_period_us > 0 || wanted.cpu_quota_us != 0 {
        resources.nano_cpus = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mentioned_stays() {
        let mut resources = Resources { memory_bytes: 1, nano_cpus: 5, ..Resources::default() };
        lay_over(&mut resources, &Resources { cpu_quota_us: 7, ..Resources::default() });
        assert_eq!((resources.memory_bytes, resources.nano_cpus, resources.cpu_quota_us), (1, 0, 7));
    }
}
