//go:build (amd64 || arm64) && !purego

package kernel

func (e *vector) squares(x []float32) float64 {
	const lanes = 16
	steps := len(x) / lanes
	sum := plain{}.squares(x[lanes*steps:])
	if steps == 0 {
		return sum
	}
	var sums [lanes]float64
	squares(&x[0], steps, &sums[0])
	for n := lanes / 2; n > 0; n /= 2 {
		for i := range n {
			sums[i] += sums[i+n]
		}
	}
	return sums[0] + sum
}

func (e *vector) weigh(y, x, weight []float32, scale float32) {
	if len(y) != len(x) || len(weight) != len(x) {
		panic("kernel: a norm of another length than its weights")
	}
	steps := len(x) / 8
	if steps > 0 {
		weigh(&y[0], &x[0], &weight[0], scale, steps)
	}
	plain{}.weigh(y[8*steps:], x[8*steps:], weight[8*steps:], scale)
}

func (e *vector) rotate(x []float32, headDim int, cos, sin []float32, adjacent bool) {
	half := len(cos)
	if half == 0 {
		return
	}
	if len(sin) != half || headDim < 2*half {
		panic("kernel: angles for more elements than a head has")
	}
	for ; len(x) >= headDim; x = x[headDim:] {
		done := half / 8 * 8
		if adjacent {
			done = half / 4 * 4
		}
		switch {
		case done == 0:
		case adjacent:
			rotatePairs(&x[0], &cos[0], &sin[0], done/4)
		default:
			rotateHalves(&x[0], &x[half], &cos[0], &sin[0], done/8)
		}
		for i := done; i < half; i++ {
			a, b := i, i+half
			if adjacent {
				a, b = 2*i, 2*i+1
			}
			x[a], x[b] = x[a]*cos[i]-x[b]*sin[i], x[a]*sin[i]+x[b]*cos[i]
		}
	}
}
