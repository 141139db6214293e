module chatfleet.io/tests/probe

go 1.26.0
