// Outputs of tasks that are DAGs, as releases from 2.5 on find them: the execution of a DAG says
// which of its tasks give its outputs, and whoever takes one follows that to a container's.
// Added to backend/src/v2/driver.

package driver

import (
	"context"
	"fmt"

	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
	"github.com/kubeflow/pipelines/backend/src/v2/metadata"
	pb "github.com/kubeflow/pipelines/third_party/ml-metadata/go/ml_metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// dagOutputs is what a component says of the outputs of its DAG, for its execution.
func dagOutputs(component *pipelinespec.ComponentSpec) (string, error) {
	text, err := protojson.Marshal(component.GetDag().GetOutputs())
	return string(text), err
}

// outputs looks for what tasks of a run gave.
type outputs struct {
	ctx      context.Context
	mlmd     *metadata.Client
	pipeline *metadata.Pipeline
}

// parameters has the one output of a task that is asked for; of a loop it is a list.
func (o outputs) parameters(task *metadata.Execution, key string) (map[string]*structpb.Value, error) {
	found, collected, err := o.parameter(task, key)
	if err != nil {
		return nil, err
	}
	if collected {
		found = []*structpb.Value{structpb.NewListValue(&structpb.ListValue{Values: found})}
	}
	return map[string]*structpb.Value{key: found[0]}, nil
}

// parameter gives one value, or those of all iterations: lists of loops in loops are flattened.
func (o outputs) parameter(task *metadata.Execution, key string) (found []*structpb.Value, collected bool, err error) {
	spec, err := outputsOf(task)
	if err != nil {
		return nil, false, err
	}
	if spec == nil {
		_, given, err := task.GetParameters()
		if err != nil {
			return nil, false, err
		}
		value, ok := given[key]
		if !ok {
			return nil, false, fmt.Errorf("task %q has no output parameter %q", task.TaskName(), key)
		}
		return []*structpb.Value{value}, false, nil
	}
	if task.IsIterator() {
		err := o.eachIteration(task, func(iteration *metadata.Execution) error {
			values, _, err := o.parameter(iteration, key)
			found = append(found, values...)
			return err
		})
		return found, true, err
	}
	tasks, err := o.tasks(task)
	if err != nil {
		return nil, false, err
	}
	for _, selector := range parameterSelectors(spec.GetParameters()[key]) {
		subtask, ok := tasks[selector.GetProducerSubtask()]
		if ok && subtask.GetExecution().GetLastKnownState() != pb.Execution_CANCELED {
			return o.parameter(subtask, selector.GetOutputParameterKey())
		}
	}
	return nil, false, fmt.Errorf("no task of DAG %q gave output parameter %q", task.TaskName(), key)
}

// artifacts gives the one artifact of an output, or those of all iterations of a loop.
func (o outputs) artifacts(task *metadata.Execution, key string) (found []*pipelinespec.RuntimeArtifact, err error) {
	spec, err := outputsOf(task)
	if err != nil {
		return nil, err
	}
	if spec == nil {
		return o.containersArtifact(task, key)
	}
	if task.IsIterator() {
		err := o.eachIteration(task, func(iteration *metadata.Execution) error {
			artifacts, err := o.artifacts(iteration, key)
			found = append(found, artifacts...)
			return err
		})
		return found, err
	}
	selectors := spec.GetArtifacts()[key].GetArtifactSelectors()
	if len(selectors) == 0 {
		return nil, fmt.Errorf("DAG %q has no output artifact %q", task.TaskName(), key)
	}
	last := selectors[len(selectors)-1] // as 2.5 has it, whichever of them ran
	tasks, err := o.tasks(task)
	if err != nil {
		return nil, err
	}
	subtask, ok := tasks[last.GetProducerSubtask()]
	if !ok {
		return nil, fmt.Errorf("task %q of DAG %q did not run", last.GetProducerSubtask(), task.TaskName())
	}
	return o.artifacts(subtask, last.GetOutputArtifactKey())
}

func (o outputs) containersArtifact(task *metadata.Execution, key string) ([]*pipelinespec.RuntimeArtifact, error) {
	given, err := o.mlmd.GetOutputArtifactsByExecutionId(o.ctx, task.GetID())
	if err != nil {
		return nil, err
	}
	artifact, ok := given[key]
	if !ok {
		return nil, fmt.Errorf("task %q has no output artifact %q", task.TaskName(), key)
	}
	found, err := artifact.ToRuntimeArtifact()
	return []*pipelinespec.RuntimeArtifact{found}, err
}

// eachIteration takes the iterations of a loop in order. 2.5 fails if there are none.
func (o outputs) eachIteration(loop *metadata.Execution, take func(*metadata.Execution) error) error {
	iterations, err := o.mlmd.GetIterations(o.ctx, loop, o.pipeline)
	if err != nil {
		return err
	}
	if len(iterations) == 0 {
		return fmt.Errorf("loop %q has no iterations, hence no outputs", loop.TaskName())
	}
	for _, iteration := range iterations {
		if err := take(iteration); err != nil {
			return err
		}
	}
	return nil
}

func (o outputs) tasks(dag *metadata.Execution) (map[string]*metadata.Execution, error) {
	return o.mlmd.GetExecutionsInDAG(o.ctx, &metadata.DAG{Execution: dag}, o.pipeline)
}

// outputsOf reads what dagOutputs wrote; nothing for a task that is no DAG.
func outputsOf(task *metadata.Execution) (*pipelinespec.DagOutputsSpec, error) {
	text := task.DagOutputs()
	if text == "" {
		return nil, nil
	}
	spec := &pipelinespec.DagOutputsSpec{}
	return spec, protojson.Unmarshal([]byte(text), spec)
}

func parameterSelectors(spec *pipelinespec.DagOutputsSpec_DagOutputParameterSpec) []*pipelinespec.DagOutputsSpec_ParameterSelectorSpec {
	if one := spec.GetValueFromParameter(); one != nil {
		return []*pipelinespec.DagOutputsSpec_ParameterSelectorSpec{one}
	}
	return spec.GetValueFromOneof().GetParameterSelectors()
}
