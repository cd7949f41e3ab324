# Random kills under load: `make soak` does 200 of them.

load lib

@test "killed at random under load, topicd breaks no answer" {
	SOAK_CYCLES=${SOAK_CYCLES:-20} "$top/tests/soak/soak"
}

@test "killed at random under load, brokerd breaks no answer" {
	SOAK_CYCLES=${SOAK_CYCLES:-20} "$top/tests/soak/broker"
}
