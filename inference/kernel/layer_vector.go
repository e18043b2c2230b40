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

// moments takes the deviations from the mean in a second pass, as the plain ones do: values may be large beside what they differ by.
func (e *vector) moments(x []float32) (mean, variance float64) {
	sum, _ := e.deviations(x, 0)
	mean = sum / float64(len(x))
	_, squares := e.deviations(x, mean)
	return mean, squares / float64(len(x))
}

// deviations returns the sum of what the values differ from a number by, and that of the squares.
func (e *vector) deviations(x []float32, from float64) (sum, squares float64) {
	const lanes = 8
	steps := len(x) / lanes
	for _, v := range x[lanes*steps:] {
		d := float64(v) - from
		sum, squares = sum+d, squares+d*d
	}
	if steps == 0 {
		return sum, squares
	}
	var sums [2][lanes]float64
	deviations(&x[0], steps, from, &sums[0][0], &sums[1][0])
	for i := range lanes {
		sum, squares = sum+sums[0][i], squares+sums[1][i]
	}
	return sum, squares
}

func (e *vector) standardize(y, x, weight []float32, mean, scale float64) {
	if len(y) != len(x) || len(weight) != len(x) {
		panic("kernel: a norm of another length than its weights")
	}
	steps := len(x) / 8
	if steps > 0 {
		standardize(&y[0], &x[0], &weight[0], mean, scale, steps)
	}
	plain{}.standardize(y[8*steps:], x[8*steps:], weight[8*steps:], mean, scale)
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
