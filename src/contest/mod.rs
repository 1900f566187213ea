//! What a competition is: the bundle reader, phases, tasks, teams and quotas.
