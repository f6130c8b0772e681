-- How many servers a site, a rack and a subnet have is asked whenever servers
-- fall silent. The condition's columns are in it too, so that it covers.
CREATE INDEX servers_group ON servers (site, rack, subnet, simulated, state, clone_of) WHERE state IN ('up', 'silent') AND clone_of = x'';
