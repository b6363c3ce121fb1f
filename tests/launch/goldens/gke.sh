# run alpt: experiments.train on v5e:4x4
kubectl get jobset alpt --ignore-not-found '--output=jsonpath={.metadata.name},{.status.terminalState},{.status.restarts}' --namespace=default
cat > runs/launch/alpt/jobset.yaml <<'END_OF_FILE'
# Run alpt of commit abad1deaabad1deaabad1deaabad1deaabad1dea; written by launch.submit.
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: alpt
  labels:
    alpt-run: alpt
    kueue.x-k8s.io/queue-name: my-queue
  annotations:
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
  failurePolicy:
    maxRestarts: 20
    rules:
    - name: final
      action: FailJobSet
      onJobFailureReasons:
      - PodFailurePolicy
  replicatedJobs:
  - name: slice
    replicas: 1
    template:
      spec:
        parallelism: 4
        completions: 4
        completionMode: Indexed
        backoffLimit: 0
        podFailurePolicy:
          rules:
          - action: FailJob
            onExitCodes:
              containerName: alpt
              operator: In
              values:
              - 1
              - 77
        template:
          metadata:
            labels:
              alpt-run: alpt
            annotations:
              gke-gcsfuse/volumes: 'true'
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 120
            nodeSelector:
              cloud.google.com/gke-tpu-accelerator: tpu-v5-lite-podslice
              cloud.google.com/gke-tpu-topology: 4x4
            tolerations:
            - key: google.com/tpu
              operator: Exists
              effect: NoSchedule
            containers:
            - name: alpt
              image: us-docker.pkg.dev/my-project/alpt/deps:1
              command:
              - bash
              - -c
              - set -e; mkdir -p /tmp/alpt; cd /tmp/alpt; echo "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0de  /etc/alpt/code.tar.gz"
                | sha256sum --check --quiet; tar -xzf /etc/alpt/code.tar.gz; exec bash launch/entrypoint.sh
                -- "$@"
              - alpt
              - python3
              - -m
              - experiments.train
              - --config=experiments/configs/atari.py:paper,setting=alpt9,phase=pretrain
              - --config.workdir=/mnt/alpt/runs/alpt
              - --config.compilation_cache_dir=/mnt/alpt/runs/compilation_cache
              env:
              - name: ALPT_DISTRIBUTED
                value: '1'
              - name: ALPT_RUN_ID
                value: alpt
              - name: ALPT_HOST
                valueFrom:
                  fieldRef:
                    fieldPath: metadata.name
              ports:
              - containerPort: 8471
              - containerPort: 8482
              resources:
                requests:
                  google.com/tpu: 4
                limits:
                  google.com/tpu: 4
              securityContext:
                privileged: true
              volumeMounts:
              - name: code
                mountPath: /etc/alpt
                readOnly: true
              - name: storage
                mountPath: /mnt/alpt
            volumes:
            - name: code
              configMap:
                name: alpt-code
            - name: storage
              csi:
                driver: gcsfuse.csi.storage.gke.io
                volumeAttributes:
                  bucketName: my-bucket
                  mountOptions: implicit-dirs
END_OF_FILE
kubectl delete jobset alpt --ignore-not-found --namespace=default
kubectl delete configmap alpt-code --ignore-not-found --namespace=default
kubectl create configmap alpt-code --from-file=code.tar.gz=runs/launch/alpt/alpt-c0dec0dec0de.tar.gz --namespace=default
kubectl apply --filename=runs/launch/alpt/jobset.yaml --namespace=default
