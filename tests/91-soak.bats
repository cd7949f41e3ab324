# Random kills under load: `make soak` does many more of them.

load lib

@test "killed at random under load, topicd breaks no answer" {
	SOAK_CYCLES=${SOAK_CYCLES:-20} "$top/tests/soak/soak"
}

@test "killed at random under load, brokerd breaks no answer" {
	SOAK_CYCLES=${SOAK_CYCLES:-20} "$top/tests/soak/broker"
}

@test "killed at random under load, the way to a topic loses and repeats nothing" {
	SOAK_CYCLES=${SOAK_CYCLES:-50} "$top/tests/soak/route"
}

@test "killed and stopped at random under load, push keeps every event" {
	SOAK_CYCLES=${SOAK_CYCLES:-60} "$top/tests/soak/push"
}

@test "killed and stopped at random under load, dead letters are nowhere twice, and back once" {
	SOAK_CYCLES=${SOAK_CYCLES:-60} "$top/tests/soak/dead"
}
